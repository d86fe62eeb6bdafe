import os
import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def _espeak() -> None:
    """Callers have voices here; CI installs the program, and elsewhere it may be missing."""
    if shutil.which("espeak-ng") is None:
        if os.environ.get("CI"):
            pytest.fail("no espeak-ng: deploy/programs.sh installs it")
        pytest.skip("no espeak-ng: apt install espeak-ng")
