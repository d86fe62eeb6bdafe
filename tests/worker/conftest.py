import os
from pathlib import Path

import pytest

from tests.worker.calls import begin as begin
from tests.worker.calls import client as client
from tests.worker.calls import engine as engine
from tests.worker.fakes import sound_card as sound_card


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is set on the machine that runs the tests is not theirs."""
    for name in os.environ:
        if name.startswith(("LIVEKIT_", "ENGINE_", "WORKER_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
