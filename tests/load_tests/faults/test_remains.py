"""Processes that outlive a test are named, and ended."""

import subprocess
import sys
import time

import psutil

from load_tests.faults.remains import Remains

PATIENCE_S = 30.0


SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_what_was_there_before_is_left_alone_with_all_that_it_starts() -> None:
    starts = f"import subprocess, sys; subprocess.run({SLEEPS!r})"
    watch = Remains()
    with subprocess.Popen([sys.executable, "-c", starts]) as before:
        try:
            with watch, subprocess.Popen(SLEEPS) as ours:
                deadline = time.monotonic() + PATIENCE_S
                while not (psutil.Process(ours.pid) in watch.known and psutil.Process(before.pid).children()):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                # One more look round.
                time.sleep(1)
                ours.kill()
            assert {process.pid for process in watch.known} == {ours.pid}
            assert watch.left_over(patience_s=0.1) == ()
            assert before.poll() is None
        finally:
            for child in psutil.Process(before.pid).children():
                child.kill()


def test_a_process_that_outlives_the_test_is_named_and_ended() -> None:
    watch = Remains()
    with watch, subprocess.Popen(SLEEPS) as left:
        deadline = time.monotonic() + PATIENCE_S
        while psutil.Process(left.pid) not in watch.known:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert watch.left_over(patience_s=0.1) == (" ".join(SLEEPS),)
