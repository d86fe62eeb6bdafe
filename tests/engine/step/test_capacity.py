from unittest.mock import Mock

import pytest
import torch

from engine.checkpoint import load
from engine.step.capacity import bytes_per_slot, fitting_slots

CPU = torch.device("cpu")


def test_a_slot_is_as_large_as_what_its_session_keeps() -> None:
    model = load("random:tiny", CPU)
    config = model.lm.config.transformer
    rings = 2 * config.layers * config.context * config.dim * 4
    assert rings < bytes_per_slot(model.mimi, model.lm) < 3 * rings


def test_on_the_cpu_there_are_eight() -> None:
    model = load("random:tiny", CPU)
    assert fitting_slots(model.mimi, model.lm) == 8


@pytest.mark.parametrize(("sessions", "slots"), [(3.5, 3), (0.5, 1), (1e9, 1024)])
def test_on_a_gpu_there_are_as_many_as_fit(
    monkeypatch: pytest.MonkeyPatch, sessions: float, slots: int
) -> None:
    model = load("random:tiny", CPU)
    lm = Mock(wraps=model.lm, config=model.lm.config, depformer=model.lm.depformer)
    lm.device = torch.device("cuda")
    one = bytes_per_slot(model.mimi, model.lm)
    monkeypatch.setattr("engine.step.capacity.bytes_per_slot", lambda *_: one)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(2 * 2**30 + sessions * one), 0))
    assert fitting_slots(model.mimi, lm) == slots
