"""What all pieces of per-session state promise."""

from collections.abc import Callable

import pytest
import torch

from engine.checkpoint import load
from engine.state.ring_cache import RingCache, TransformerState
from engine.state.sampling_state import SamplingState
from engine.state.slot_state import SlotState, StateGroup
from engine.state.tail import ReplicatedTail, Tail
from engine.state.token_cache import TokenCache

CPU = torch.device("cpu")
MAKERS: dict[str, Callable[[], SlotState]] = {
    "tail": lambda: Tail(4, 3, 5, CPU),
    "replicated tail": lambda: ReplicatedTail(4, 3, 5, CPU),
    "transformer": lambda: TransformerState(4, 6, [RingCache(4, 2, 6, 8, CPU, torch.float32)] * 2, CPU),
    "8-bit transformer": lambda: TransformerState(
        4, 6, [RingCache(4, 2, 6, 8, CPU, torch.float32, "int8")] * 2, CPU
    ),
    "8-bit floats": lambda: TransformerState(
        4, 6, [RingCache(4, 2, 6, 8, CPU, torch.float32, "e4m3")] * 2, CPU
    ),
    "tokens": lambda: TokenCache(4, [9] * 17, 3, CPU),
    "sampling": lambda: SamplingState(4, CPU),
    "mimi": lambda: load("random:tiny", CPU).mimi.new_state(4),
    "group": lambda: StateGroup([Tail(4, 1, 1, CPU), TokenCache(4, [9], 1, CPU)]),
}


@pytest.fixture(params=MAKERS.values(), ids=list(MAKERS))
def state(request: pytest.FixtureRequest) -> SlotState:
    made: SlotState = request.param()
    return made


def test_every_tensor_has_the_slot_first(state: SlotState) -> None:
    tensors = list(state.tensors())
    assert tensors
    assert {tensor.shape[0] for tensor in tensors} == {4}


def test_a_reset_touches_no_other_slot(state: SlotState) -> None:
    for tensor in state.tensors():
        used = torch.arange(tensor.numel()).view(tensor.shape) % 97
        tensor.copy_(used if tensor.dtype != torch.bool else torch.zeros_like(used))
    before = [tensor.clone() for tensor in state.tensors()]
    state.reset(torch.tensor([1, 3]))
    changed = False
    for tensor, kept in zip(state.tensors(), before, strict=True):
        assert torch.equal(tensor[[0, 2]], kept[[0, 2]])
        changed |= not torch.equal(tensor, kept)
    assert changed


def test_floating_memory_is_born_unreadable() -> None:
    for name in ("tail", "replicated tail", "transformer", "8-bit transformer", "8-bit floats", "mimi"):
        floating = [tensor for tensor in MAKERS[name]().tensors() if tensor.is_floating_point()]
        assert floating
        assert all(tensor.float().isnan().all() for tensor in floating)


def test_a_fresh_tail_is_silence_and_a_replicated_one_is_known_to_be_fresh() -> None:
    slots = torch.tensor([2, 0])
    tail, replicated = Tail(3, 2, 4, CPU), ReplicatedTail(3, 2, 4, CPU)
    replicated.fresh.fill_(False)
    for state in (tail, replicated):
        state.reset(slots)
    assert not tail.values[slots].any()
    assert replicated.fresh.tolist() == [True, False, True]
