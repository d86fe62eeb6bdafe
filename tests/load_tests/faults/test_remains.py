"""Processes that outlive a test are named, and ended."""

import subprocess
import sys
import time

import psutil

from load_tests.faults.remains import Remains

PATIENCE_S = 30.0


def test_a_process_that_outlives_the_test_is_named_and_ended() -> None:
    watch = Remains()
    with watch, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as left:
        deadline = time.monotonic() + PATIENCE_S
        while psutil.Process(left.pid) not in watch.known:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert watch.left_over(patience_s=0.1) == (f"{sys.executable} -c import time; time.sleep(600)",)
