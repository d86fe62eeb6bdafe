"""Whose a process is, of those that a test has started."""

import subprocess
import sys

import psutil

from load_tests.faults.watch import roles
from load_tests.report.roles import Role

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
child.communicate()
"""


def test_what_a_worker_starts_are_its_jobs_and_who_has_no_part_is_ours() -> None:
    command = [sys.executable, "-c", PARENT]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller,
    ):
        assert worker.stdout is not None
        assert caller.stdout is not None
        job, browser = int(worker.stdout.readline()), int(caller.stdout.readline())
        found = {process.pid: role for process, role in roles({worker.pid: Role.WORKER}).items()}
        for process in (worker, caller):
            assert process.stdin is not None
            process.stdin.close()
    assert found[worker.pid] is Role.WORKER
    assert found[job] is Role.JOBS
    assert found[caller.pid] is found[browser] is found[psutil.Process().pid] is Role.LOAD_TEST
