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

    def write(self, slots: Tensor, first: int, times: Tensor, tokens: Tensor) -> None:
        """Puts tokens [B, k] into channels `first`.. at times int64 [B, k]."""
        channels = torch.arange(first, first + tokens.shape[1], device=slots.device)
        self.tokens[slots[:, None], channels, times % self.capacity] = tokens

    def read(self, slots: Tensor, times: Tensor) -> Tensor:
        """Tokens int64 [B, k] of the first k channels at times int64 [B, k]."""
        return self.tokens[slots].gather(2, (times % self.capacity)[:, :, None])[:, :, 0]
