"""What a caller in a browser needs, and where in a recording they began to speak."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import SettingError
from load_tests.browser import chromium
from load_tests.browser.caller import place


def test_without_a_browser_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(SettingError, match="apt install chromium, or name one in CHROMIUM"):
        chromium.check()


def test_without_the_pages_packages_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "browser"
    program.touch(mode=0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    monkeypatch.setattr(chromium, "CLIENT", tmp_path / "livekit-client.js")
    with pytest.raises(SettingError, match="livekit-client: `make setup` installs it"):
        chromium.check()
    (tmp_path / "livekit-client.js").touch()
    assert chromium.check() == str(program)


@pytest.mark.parametrize("began", [0, 1, 31_234])
def test_what_was_said_is_found_in_the_recording_to_the_sample(began: int) -> None:
    random = np.random.default_rng(1)
    said = np.asarray(random.normal(0, 3000, 24_000), np.int16)
    recording = np.asarray(random.normal(0, 300, 100_000), np.int16)
    recording[began : began + len(said)] += said
    assert place(said, recording) == began
