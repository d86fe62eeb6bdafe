"""`make run` as a newcomer meets it: one command, one call, and nothing left behind after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deploy.run import LIVEKIT_PORT, introduction, livekit_server, worker
from deploy.stack import StackError
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
NEEDED = (".venv", "bin", "deploy", "livekit.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkout, but without the settings that somebody may have put there."""
    for name in NEEDED:
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    own = ("LIVEKIT_", "ENGINE_", "WORKER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**inherited, "PYTHONPATH": str(ROOT), "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1"}


@pytest.fixture
def stack(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    try:
        for part in (livekit_server(), worker(WorkerSettings())):
            part.check_ports()
    except StackError as taken:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(taken))
    command = [sys.executable, "-m", "deploy.run"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def read_until(process: subprocess.Popen[str], last_line: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(last_line):
            return "".join(lines)
    pytest.fail("it ended: " + "".join(lines))


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that run in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and os.getpid() != int(process.name):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_the_worker_may_load_a_model_for_as_long_as_it_takes_and_the_server_may_not() -> None:
    assert worker(WorkerSettings()).ready_within_s is None
    assert livekit_server().ready_within_s is not None


def test_the_introduction_names_the_engines_port_if_it_is_known() -> None:
    assert "http://127.0.0.1:8123/metrics" in introduction(WorkerSettings(engine_port=8123))
    assert ":0" not in introduction(WorkerSettings(engine_port=0))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see what is left behind")
def test_one_command_and_the_call_that_it_names(
    stack: subprocess.Popen[str], folder: Path, environment: dict[str, str]
) -> None:
    said = read_until(stack, "Ctrl-C stops")
    assert f"ws://127.0.0.1:{LIVEKIT_PORT}" in said
    assert len(processes_in(folder)) >= 4, "run, server, worker and engine"
    command = re.search(r"from another terminal:\n\n(.*?)\n\n", said, re.S)
    assert command

    call = subprocess.run(
        command[1], shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert call.returncode == 0, call.stderr
    heard, _ = soundfile.read(folder / "out.wav")
    assert np.abs(heard).max() > 0.05, "the caller heard nothing"

    stack.send_signal(signal.SIGINT)
    assert stack.wait(timeout=30) == 0
    livekit_server().check_ports()
    deadline = time.monotonic() + 5
    while left := processes_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
