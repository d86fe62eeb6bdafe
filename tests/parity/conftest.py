"""Finds the reference package in `.reference/`, where `make setup` puts it."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

REFERENCE = Path(__file__).resolve().parents[2] / ".reference"
_BY_FILES = ("test_golden.py", "test_personaplex.py")

# Its modules decide at import whether they are compiled, which takes a minute.
os.environ["NO_TORCH_COMPILE"] = "1"
if REFERENCE.is_dir():
    sys.path.append(str(REFERENCE))
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the reference only what golden files hold can be checked; in CI that is a failure."""
    if importlib.util.find_spec("moshi") is not None or os.environ.get("CI"):
        return
    skip = pytest.mark.skip(reason=f"the reference package is not in {REFERENCE}: run make setup")
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name not in _BY_FILES:
            item.add_marker(skip)
