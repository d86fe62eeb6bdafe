"""The last tokens of every channel, until all that belong to one time are there."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.state.slot_state import SlotState

UNGENERATED = -2


class TokenCache(SlotState):
    """Ring of tokens int64 [S, K, C] at the times they are fed, and each slot's step number int64 [S].

    largest: the largest token of each channel.
    """

    def __init__(self, slots: int, largest: Sequence[int], capacity: int, device: torch.device) -> None:
        shape = (slots, len(largest), capacity)
        self.tokens = torch.full(shape, UNGENERATED, device=device, dtype=torch.int64)
        self._largest = torch.tensor(largest, device="cpu")[:, None]
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

    def check(self, held: Sequence[Tensor]) -> None:
        """Every token has a place in its channel's table."""
        super().check(held)
        tokens, offset = held
        if bool((tokens < UNGENERATED).any() | (tokens > self._largest).any()) or int(offset) < 0:
            raise ValueError("tokens that are none")
