"""`make test`: two halves at the same time, of which neither is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.tests import IN_REAL_TIME, STANDS_BACK, run

ROOT = Path(__file__).parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("first", "beside", "status"), [(0, 0, 0), (3, 0, 3), (0, 4, 4), (3, 4, 3), (-9, 0, -9)]
)
def test_all_have_passed_if_both_halves_have(tmp_path: Path, first: int, beside: int, status: int) -> None:
    ends = "import os, signal; os.kill(os.getpid(), 9) if {0} < 0 else os._exit({0})"
    assert run(python(ends.format(first)), python(ends.format(beside)), tmp_path / "log") == status


def test_both_run_at_the_same_time_and_both_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    waits = "import os, time\nopen({!r}, 'w')\nwhile not os.path.exists({!r}): time.sleep(0.01)\nprint({!r})"
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    log = tmp_path / "build" / "log"
    assert (
        run(python(waits.format(here, there, "first")), python(waits.format(there, here, "beside")), log) == 0
    )
    assert capfd.readouterr().out.splitlines() == ["first", "beside"]


def test_the_half_beside_takes_what_the_machine_has_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(python("pass"), python("import os; print(os.nice(0))"), tmp_path / "log") == 0
    assert capfd.readouterr().out == f"{min(19, os.nice(0) + STANDS_BACK)}\n"


def test_what_calls_in_real_time_is_there() -> None:
    assert [path for path in IN_REAL_TIME if not (ROOT / path).exists()] == []


def test_who_is_ended_leaves_neither_half_behind(tmp_path: Path) -> None:
    tell = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    pids = [tmp_path / "first", tmp_path / "beside"]
    commands = [python(tell.format(str(pid))) for pid in pids]
    code = (
        "import pathlib, deploy.tests as halves\n"
        f"commands, log = {commands!r}, pathlib.Path({str(tmp_path / 'log')!r})\n"
        "halves.run = lambda *_, run=halves.run: run(*commands, log)\n"
        "raise SystemExit(halves.main())"
    )
    with subprocess.Popen(python(code), cwd=ROOT) as both:
        within = time.monotonic() + 60
        while not all(pid.exists() and pid.read_text() for pid in pids) and time.monotonic() < within:
            time.sleep(0.02)
        both.terminate()
        assert both.wait(60) == 128 + signal.SIGTERM
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
