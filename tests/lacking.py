"""What a test needs of the machine, and what becomes of it where that is missing."""

import os
from typing import NoReturn

import pytest

from load_tests.network.namespace import NEEDS, can_be_made


def lacking(reason: str) -> NoReturn:
    """Skips; fails in CI, where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_network_of_our_own() -> None:
    """Skips where there can be none, in CI too: not every sandbox has devices of its own."""
    if not can_be_made():
        pytest.skip(f"a network of our own needs {NEEDS}")
