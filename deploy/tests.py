"""`make test`: all tests, in two halves at the same time.

Calls take place in real time: their tests wait more than they compute, and the machine is theirs first. All
other tests take what is left of it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

IN_REAL_TIME = (
    "tests/end_to_end",
    "tests/load_tests/network",
    "tests/project/test_public.py",
    "tests/project/test_run.py",
)
OUTPUT = Path("build/tests.log")
"""Of the other half, until it is shown."""
STANDS_BACK = 10
"""How nice the other half is: a tenth of a core is its where both want one, so it never stalls for long."""
PYTEST = (sys.executable, "-m", "pytest")
# Two at once would write the same files, and whoever stands back may take long.
_BESIDE = ("-p", "no:cacheprovider", "--timeout", "900")


def main() -> int:
    """Run both; 0 if both have passed."""
    # Else its children would go on without it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rest = [f"--ignore={path}" for path in IN_REAL_TIME]
    return run([*PYTEST, *IN_REAL_TIME], [*PYTEST, *_BESIDE, *rest], OUTPUT)


def run(first: Sequence[str], beside: Sequence[str], output: Path) -> int:
    """Run two commands at once, the second one with what the first one leaves of the machine.

    What the second one says goes to `output`, and is shown once both have ended. Returns 0 if both have
    succeeded, else the status of one that has not.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as log:
        others = subprocess.Popen(beside, stdout=log, stderr=log, preexec_fn=partial(os.nice, STANDS_BACK))
        ahead = subprocess.Popen(first)
        try:
            status, others_status = _end_of(ahead), _end_of(others)
        finally:
            for process in (ahead, others):
                process.kill()
                process.wait()
    print(output.read_text(errors="replace"), end="", flush=True)
    return status or others_status


def _end_of(process: "subprocess.Popen[bytes]") -> int:
    """Its status. A Ctrl-C has reached it, too, and it ends by itself."""
    while True:
        with suppress(KeyboardInterrupt):
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
