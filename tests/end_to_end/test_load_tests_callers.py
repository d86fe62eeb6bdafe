"""`python -m load_tests callers` against the whole product: what it finds, not how fast that is here."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import environment
from tests.end_to_end.processes import ROOT, Running, python
from worker.settings import LiveKitSettings

pytestmark = pytest.mark.timeout(300)
TAKES = 3


def load_test(
    livekit: LiveKitSettings, engine_port: int, folder: Path, *options: str
) -> "subprocess.CompletedProcess[str]":
    ours = {"PYTHONPATH": str(ROOT), "ENGINE_URL": f"ws://127.0.0.1:{engine_port}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        python("load_tests", "callers", *options),
        cwd=folder,
        env=os.environ | environment(livekit) | ours,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def came_back(run: dict[str, Any]) -> int:
    return sum(call["heard"] for call in run["calls"])


def test_callers_find_themselves_in_what_the_service_and_a_bare_echo_give_back(
    livekit: LiveKitSettings, engine_port: int, worker: Running, tmp_path: Path
) -> None:
    # On a machine that is busy with something else, sound is cut to pieces that nobody would know again.
    for _ in range(TAKES):
        options = ("--rooms", "2", "--phones", "1", "--minutes", "0.15", "--baseline")
        done = load_test(livekit, engine_port, tmp_path, *options, "--json", "report.json")
        assert done.returncode == 0, done.stderr
        echo, service = json.loads((tmp_path / "report.json").read_text())["runs"]
        if came_back(echo) and came_back(service):
            break
    assert (echo["what"], service["what"]) == ("bare echo", "the service")
    for run, model_delay_ms in ((echo, 0), (service, 1000)):
        assert [call["kind"] for call in run["calls"]] == ["phone", "webrtc"]
        assert all(call["said"] > 0 and call["refused"] is None for call in run["calls"])
        assert all(call["join_s"] > 0 and call["first_audio_s"] > 0 for call in run["calls"])
        assert sum(call["leaked"] for call in run["calls"]) == 0
        assert came_back(run) > 0
        assert min(lag for call in run["calls"] for lag in call["lags_ms"]) > model_delay_ms + 80
    assert sum(call["frames"] for call in service["calls"]) > 0
    # A worker without a name takes every room but those of the echo.
    assert min(lag for call in echo["calls"] for lag in call["lags_ms"]) < 1000
    assert {"LiveKit server", "worker", "worker's jobs", "engine"} <= {
        process["name"] for process in service["processes"]
    }
    assert "mouth to ear" in done.stdout


def test_a_caller_whom_nobody_takes_is_told_of_and_makes_the_command_fail(
    livekit: LiveKitSettings, engine_port: int, worker: Running, tmp_path: Path
) -> None:
    options = ("--agent", "nobody", "--minutes", "0.1", "--json", "report.json")
    done = load_test(livekit, engine_port, tmp_path, *options)
    assert done.returncode == 3, done.stderr
    assert "every caller was refused: no agent came within 10 s" in done.stderr
    (run,) = json.loads((tmp_path / "report.json").read_text())["runs"]
    (call,) = run["calls"]
    assert 10 <= call["refused_after_s"] < 60
    assert came_back(run) == 0
