"""Callers by telephone and from a browser, behind a network of their own: the command, as it is typed."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import find_chromium
from tests.end_to_end.conftest import environment
from tests.end_to_end.processes import ROOT, Running, python
from tests.lacking import need_network_of_our_own
from worker.settings import LiveKitSettings

DELAY_MS = 60
KINDS = ["phone", "browser"]
SCENES = 3


@pytest.fixture
def network(tmp_path: Path) -> str:
    """Slow and otherwise good, so that nothing but a busy machine can cost words."""
    need_network_of_our_own()
    find_chromium()
    file = tmp_path / "slow.toml"
    file.write_text(f"[up]\ndelay_ms = {DELAY_MS}\n[down]\ndelay_ms = {DELAY_MS}\n")
    return str(file)


def report(livekit: LiveKitSettings, network: str, folder: Path) -> dict[str, Any]:
    """What `callers` writes about two callers, one of each kind."""
    file = folder / "report.json"
    options = ["--rooms", "2", "--phones", "1", "--browsers", "1", "--minutes", "0.2", "--network", network]
    done = subprocess.run(
        python("load_tests", "callers", *options, "--json", str(file)),
        cwd=folder,
        env=os.environ | environment(livekit) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(file.read_text())
    return told


@pytest.mark.timeout(360)
def test_a_phone_and_a_browser_hear_themselves_through_a_slow_network(
    livekit: LiveKitSettings, worker: Running, network: str, tmp_path: Path
) -> None:
    # Where other programs take the time of this machine, words are lost that no network has lost: then again.
    for _ in range(SCENES):
        (service,) = report(livekit, network, tmp_path)["runs"]
        calls = service["calls"]
        assert [call["kind"] for call in calls] == KINDS
        assert [call["refused"] for call in calls] == [None, None]
        assert [call["leaked"] for call in calls] == [0, 0]
        # That they are behind it: the round trip is the network's, there and back.
        assert min(call["rtt_ms"] for call in calls) >= 2 * DELAY_MS - 2
        assert "slow: up delay_ms 60; down delay_ms 60" in service["network"]
        assert re.search(r"up \d+ packets, 0 lost.*moved late by p50", " ".join(service["notes"]))
        assert all(lag_ms > 1000 + 2 * DELAY_MS for call in calls for lag_ms in call["lags_ms"])
        if all(call["heard"] for call in calls):
            return
    pytest.fail(f"in {SCENES} runs nothing came back: {calls}")
