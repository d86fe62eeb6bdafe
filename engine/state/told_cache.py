"""What a session is told once, when it begins, by slot."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.state.slot_state import SlotState


class ToldCache(SlotState):
    """Keys and values of one layer, [S, H, L, head_dim], and how many of the L cells count, int64 [S]."""

    def __init__(
        self, slots: int, heads: int, length: int, head_dim: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        # Zeros, for cells that nobody filled are read and count nothing.
        shape = (slots, heads, length, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.filled = torch.zeros(slots, device=device, dtype=torch.int64)
        self._cells = torch.arange(length, device=device)

    @property
    def length(self) -> int:
        """L."""
        return len(self._cells)

    def reset(self, slots: Tensor) -> None:
        """Told nothing yet."""
        self.filled.index_fill_(0, slots, 0)

    def tensors(self) -> Iterator[Tensor]:
        """`keys`, `values` and `filled`."""
        yield self.keys
        yield self.values
        yield self.filled

    def write(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Keeps keys and values [H, T, head_dim], T at most L."""
        count = keys.shape[1]
        self.keys[slot, :, :count] = keys
        self.values[slot, :, :count] = values
        self.filled[slot] = count

    def read(self, slots: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of keys and values, [B, H, L, head_dim] each, and which cells do not count, bool [B, L]."""
        unfilled = self._cells >= self.filled[slots][:, None]
        return self.keys.index_select(0, slots), self.values.index_select(0, slots), unfilled


class ToldState(SlotState):
    """What all sessions were told: `added` [S, D] to the input of each step, and the caches of all layers."""

    def __init__(self, added: Tensor, caches: Sequence[ToldCache]) -> None:
        self.added = added
        self.caches = tuple(caches)

    def reset(self, slots: Tensor) -> None:
        """Told nothing yet."""
        self.added.index_fill_(0, slots, 0.0)
        for cache in self.caches:
            cache.reset(slots)

    def tensors(self) -> Iterator[Tensor]:
        """`added`, then the tensors of the caches layer by layer."""
        yield self.added
        for cache in self.caches:
            yield from cache.tensors()
