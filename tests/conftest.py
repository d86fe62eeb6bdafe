import logging
import os
from collections.abc import Iterator

import pytest
import torch

# Before any kernel is imported: without a GPU they run in Triton's interpreter. With one, TRITON_INTERPRET=0.
os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    """Commands send the log to the stderr of their test, which is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _the_same_draws_in_every_run() -> None:
    """What holds to the bit for some draws only has to fail every time, or never."""
    torch.manual_seed(0)
