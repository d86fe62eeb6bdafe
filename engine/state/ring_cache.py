"""Keys and values of the positions that attention still sees, by slot."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.state.slot_state import SlotState, born_nan


class RingCache:
    """Keys and values of one layer, [S, H, C, head_dim]: position p lies at p mod C, written before it is
    read.

    Freshness is not kept here: the positions that a slot has filled are known from its offset.
    """

    def __init__(
        self, slots: int, heads: int, capacity: int, head_dim: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.keys = born_nan(slots, heads, capacity, head_dim, device=device, dtype=dtype)
        self.values = born_nan(slots, heads, capacity, head_dim, device=device, dtype=dtype)
        self._heads = torch.arange(heads, device=device)[None, :, None]

    def write(self, slots: Tensor, cells: Tensor, keys: Tensor, values: Tensor) -> None:
        """Puts keys and values [B, H, T, head_dim] into cells int64 [B, T]."""
        where = (slots[:, None, None], self._heads, cells[:, None, :])
        self.keys.index_put_(where, keys)
        self.values.index_put_(where, values)


class TransformerState(SlotState):
    """How many positions each slot has seen, int64 [S], and the rings of all layers."""

    def __init__(self, slots: int, capacity: int, rings: Sequence[RingCache], device: torch.device) -> None:
        self.offsets = torch.zeros(slots, device=device, dtype=torch.int64)
        self.capacity = capacity
        self.rings = tuple(rings)

    def reset(self, slots: Tensor) -> None:
        """Nothing seen yet; the rings stay as they are, for nobody reads what the offset does not cover."""
        self.offsets.index_fill_(0, slots, 0)

    def tensors(self) -> Iterator[Tensor]:
        """`offsets`, then keys and values layer by layer."""
        yield self.offsets
        for ring in self.rings:
            yield ring.keys
            yield ring.values

    def advance(self, slots: Tensor, positions: int) -> None:
        """Counts what was just written."""
        self.offsets.index_add_(0, slots, torch.full_like(slots, positions))
