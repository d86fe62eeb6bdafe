import pytest
import torch

from engine.checkpoint import load
from engine.errors import SettingError
from engine.step.build import make_runner


def test_a_device_without_8_bit_floats_is_told_what_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("random:tiny", torch.device("cpu"))
    make_runner(model, 1, "e4m3")
    monkeypatch.setattr("engine.step.build.runs_float8", lambda device: False)
    with pytest.raises(SettingError, match=r"e4m3 keys and values need a GPU of .* take int8"):
        make_runner(model, 1, "e4m3")
