"""How each slot's session draws its tokens."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.state.slot_state import SlotState

_ALL = 2**31 - 1


class SamplingState(SlotState):
    """Temperatures float32 [S, 2] and top-k int64 [S, 2] (text, audio), seeds int64 [S]."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self.temperatures = torch.zeros(slots, 2, device=device)
        self.top_k = torch.ones(slots, 2, device=device, dtype=torch.int64)
        self.seeds = torch.zeros(slots, device=device, dtype=torch.int64)

    def set(self, slot: int, temperatures: tuple[float, float], top_k: tuple[int, int], seed: int) -> None:
        """What the session in `slot` asked for, (text, audio) each. 0 keeps all; seed in 0..2^32 - 1."""
        device = self.seeds.device
        self.temperatures[slot] = torch.tensor(temperatures, device=device)
        self.top_k[slot] = torch.tensor([k if k > 0 else _ALL for k in top_k], device=device)
        self.seeds[slot] = seed

    def reset(self, slots: Tensor) -> None:
        """Greedy, until `set`."""
        self.temperatures.index_fill_(0, slots, 0.0)
        self.top_k.index_fill_(0, slots, 1)
        self.seeds.index_fill_(0, slots, 0)

    def tensors(self) -> Iterator[Tensor]:
        """`temperatures`, `top_k`, `seeds`."""
        yield self.temperatures
        yield self.top_k
        yield self.seeds

    def check(self, held: Sequence[Tensor]) -> None:
        """As `set` would have left it."""
        super().check(held)
        temperatures, top_k, seed = held
        if not bool((temperatures >= 0).all() & temperatures.isfinite().all() & (top_k >= 1).all()):
            raise ValueError("a way to draw tokens that is none")
        if not 0 <= int(seed) < 1 << 32:
            raise ValueError(f"a seed of {int(seed)}")
