import numpy as np
import pytest
import torch

from engine.checkpoint import Model, load
from engine.models.config import KvPrecision
from engine.step.eager_runner import EagerRunner
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", torch.device("cpu"))


@pytest.mark.parametrize("kv", ["exact", "int8", "e4m3"])
@pytest.mark.parametrize("positions", [1, 30, 100, 5000])
def test_sessions_step_on_from_a_context_that_nobody_spoke(
    model: Model, positions: int, kv: KvPrecision
) -> None:
    runner = EagerRunner(step := MoshiStep(model.mimi, model.lm, 2, kv), torch.device("cpu"))
    runner.join({0: Sampling(), 1: Sampling()})
    runner.fill_context(positions)
    state = step._lm_state
    assert state.offsets.tolist() == [positions] * 2
    for part in state.held(0):
        assert part.float().isfinite().all()
    assert len(set(state.rings[0].keys[0, 0, :, 0].tolist())) > 20
    runner.step([0, 1], np.zeros((2, 1920), np.int16))
    assert state.offsets.tolist() == [positions + 1] * 2
    assert all(tensor.float().isfinite().all() for tensor in step._mimi_state.tensors())
