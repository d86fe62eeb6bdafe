"""The last tokens of every channel, until all that belong to one time are there."""

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.state.slot_state import SlotState

UNGENERATED = -2


class TokenCache(SlotState):
    """Ring of tokens int64 [S, K, C] at the times they are fed, and each slot's step number int64 [S]."""

    def __init__(self, slots: int, channels: int, capacity: int, device: torch.device) -> None:
        self.tokens = torch.full((slots, channels, capacity), UNGENERATED, device=device, dtype=torch.int64)
        self.offsets = torch.zeros(slots, device=device, dtype=torch.int64)
        self.capacity = capacity

    def reset(self, slots: Tensor) -> None:
        """Before the first step."""
        self.tokens.index_fill_(0, slots, UNGENERATED)
        self.offsets.index_fill_(0, slots, 0)

    def tensors(self) -> Iterator[Tensor]:
        """`tokens` and `offsets`."""
        yield self.tokens
        yield self.offsets
