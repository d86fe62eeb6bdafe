"""`python -m load_tests soak`, small: a service of its own, two faults, and what became of them."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.processes import ROOT, python

FAULTS = "reload,job"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("livekit")  # without a server this is skipped
async def test_a_soak_does_its_faults_and_says_what_callers_heard_of_them(tmp_path: Path) -> None:
    # A model that only waits: no machine is too slow for it. How long gaps are is for a quiet one to say.
    options = ("--minutes", "0.5", "--every", "15", "--only", FAULTS, "--step-ms", "2")
    done = await asyncio.to_thread(
        subprocess.run,
        python("load_tests", "soak", *options, "--json", "report.json", "--plot", "report.png"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert sorted(fault["kind"] for fault in report["faults"]) == sorted(FAULTS.split(","))
    assert not any(fault["failed"] for fault in report["faults"])
    for fault in report["faults"]:
        assert sum(caller["hit"] for caller in fault["callers"]) == 1
        if fault["recovered"]:
            assert [caller["kept"] for caller in fault["callers"]] == ["same", "same"]
    met = {goal["name"]: goal["met"] for goal in report["goals"]}
    for name in ("leaks between callers", "seats lost", "processes left over"):
        assert met[name] is True, done.stdout
    assert (tmp_path / "report.png").stat().st_size > 0
    assert "a job is killed" in done.stdout
