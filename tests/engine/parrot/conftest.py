import json
from typing import Any

import pytest
import torch

from engine.checkpoint import Model, load
from engine.parrot import CHECKPOINT


@pytest.fixture(scope="package")
def parrot() -> Model:
    torch.set_num_threads(1)
    return load("parrot", torch.device("cpu"))


@pytest.fixture(scope="package")
def facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CHECKPOINT / "parrot.json").read_text())
    return content
