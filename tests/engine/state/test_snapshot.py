import pytest
import torch
from torch import Tensor

from engine.checkpoint import Model, load
from engine.models.config import KvPrecision
from engine.state.snapshot import Copier
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


def started(model: Model, slots: int, slot: int, frames: int, kv: KvPrecision = "exact") -> MoshiStep:
    step = MoshiStep(model.mimi, model.lm, slots, kv)
    step.join(slot, Sampling(seed=5))
    step.prime(torch.tensor([slot]))
    for frame in range(frames):
        answer(step, slot, frame)
    return step


def answer(step: MoshiStep, slot: int, frame: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(frame)
    return list(step(torch.tensor([slot]), 0.1 * torch.randn(1, 1920, generator=generator)))


@pytest.mark.parametrize("kv", ["exact", "int8", "e4m3"])
@pytest.mark.parametrize("frames", [3, 110])
def test_a_session_goes_on_in_another_engine_as_if_nothing_had_happened(
    model: Model, frames: int, kv: KvPrecision
) -> None:
    there = started(model, 3, 2, frames, kv)
    snapshot, copied = Copier(CPU).snapshot(there.state, 2)
    assert copied()
    here = MoshiStep(model.mimi, model.lm, 2, kv)
    assert Copier(CPU).restore(here.state, 0, snapshot)()
    for frame in range(frames, frames + 5):
        for ours, expected in zip(answer(here, 0, frame), answer(there, 2, frame), strict=True):
            assert torch.equal(ours, expected)


def test_a_snapshot_does_not_change_with_the_session_and_serves_more_than_once(model: Model) -> None:
    step = started(model, 3, 0, 4)
    snapshot, _ = Copier(CPU).snapshot(step.state, 0)
    expected = answer(step, 0, 4)
    for slot in (1, 2):
        Copier(CPU).restore(step.state, slot, snapshot)
        assert all(torch.equal(a, b) for a, b in zip(answer(step, slot, 4), expected, strict=True))


def test_a_restore_touches_no_other_slot(model: Model) -> None:
    step = started(model, 3, 0, 4)
    snapshot, _ = Copier(CPU).snapshot(step.state, 0)
    others = [tensor[1:].clone() for tensor in step.state.tensors()]
    Copier(CPU).restore(step.state, 0, snapshot)
    for tensor, kept in zip(step.state.tensors(), others, strict=True):
        assert tensor[1:].contiguous().view(torch.uint8).equal(kept.view(torch.uint8))


def test_of_the_rings_only_what_is_filled_is_copied(model: Model) -> None:
    config = model.lm.config.transformer
    a_position = 2 * config.layers * config.dim * 4
    sizes = []
    for frames in (10, 20, 110, 115):
        snapshot, _ = Copier(CPU).snapshot(started(model, 1, 0, frames).state, 0)
        sizes.append(snapshot.nbytes)
    mimi = model.mimi.config.transformer
    mimi_positions = 2 * 2 * 2 * mimi.layers * mimi.dim * 4
    assert sizes[1] - sizes[0] == 10 * (a_position + mimi_positions)
    assert sizes[3] == sizes[2]


def test_a_large_session_is_copied_bit_by_bit(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    step = started(model, 3, 0, 4)
    whole, _ = Copier(CPU).snapshot(step.state, 0)
    monkeypatch.setattr("engine.state.snapshot._AT_ONCE", whole.nbytes // 5)
    snapshot, done = Copier(CPU).snapshot(step.state, 0)
    calls = 1
    while not done():
        assert len(snapshot.parts) < len(whole.parts)
        calls += 1
    assert 3 < calls <= 6
    restored = Copier(CPU).restore(step.state, 1, snapshot)
    while not restored():
        pass
    assert all(torch.equal(a, b) for a, b in zip(answer(step, 1, 4), answer(step, 0, 4), strict=True))
