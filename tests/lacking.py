"""What a test needs of the machine, and what becomes of it where that is missing."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skips; fails in CI, where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_network_of_our_own() -> None:
    """Skips where there can be none, in CI too: not every sandbox has devices of its own."""
    if os.geteuid() != 0 or shutil.which("ip") is None or not Path("/dev/net/tun").exists():
        pytest.skip("a network of our own needs root, iproute2 and /dev/net/tun")
