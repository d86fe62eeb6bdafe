"""Attention over ring caches, in plain PyTorch: the meaning that faster kernels must keep."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from engine.state.ring_cache import RingCache, TransformerState

_GATHERED_ELEMENTS = 2**26


@dataclass(frozen=True, slots=True)
class Window:
    """Where the T new positions of each row go and what they see.

    positions int64 [B, T]; cells int64 [B, T] of the ring; unseen bool [B, T, C]; unfilled bool [B, C].
    """

    positions: Tensor
    cells: Tensor
    unseen: Tensor
    unfilled: Tensor

    @classmethod
    def ahead(cls, state: TransformerState, slots: Tensor, count: int) -> Self:
        """The next `count` positions of each slot. At most the capacity of the ring."""
        capacity = state.capacity
        assert count <= capacity, "more new positions than the ring holds"
        device = slots.device
        positions = state.offsets[slots][:, None] + torch.arange(count, device=device)
        # Write before reading: at the wrap the first of several new positions has already lost the oldest
        # ones to those after it, as in the reference.
        last = positions[:, -1:]
        held = last - (last - torch.arange(capacity, device=device)) % capacity
        unfilled = held < 0
        unseen = unfilled[:, None, :] | (held[:, None, :] > positions[:, :, None])
        return cls(positions, positions % capacity, unseen, unfilled)


def ring_attention(query: Tensor, ring: RingCache, slots: Tensor, window: Window) -> Tensor:
    """Softmax attention of query [B, H, T, D] over each slot's ring: [B, T, H * D].

    Cells that a slot has not filled do not count, whatever they hold. Gathers rings in pieces of bounded
    size.
    """
    rows = max(1, _GATHERED_ELEMENTS // ring.keys[0].numel())
    pieces = [slice(start, start + rows) for start in range(0, len(slots), rows)]
    y = [_attend(query[p], ring, slots[p], window.unseen[p], window.unfilled[p]) for p in pieces]
    return y[0] if len(y) == 1 else torch.cat(y)


def _attend(query: Tensor, ring: RingCache, slots: Tensor, unseen: Tensor, unfilled: Tensor) -> Tensor:
    batch, heads, count, dim = query.shape
    keys = ring.keys.index_select(0, slots)
    values = ring.values.index_select(0, slots).masked_fill_(unfilled[:, None, :, None], 0.0)
    kv_heads = keys.shape[1]
    # Query heads that share keys go into one product as further rows.
    shared = query.reshape(batch * kv_heads, -1, dim)
    scores = torch.bmm(shared, keys.flatten(0, 1).transpose(1, 2)).float() * dim**-0.5
    scores = scores.view(batch, heads, count, -1).masked_fill_(unseen[:, None], float("-inf"))
    weights = scores.softmax(dim=-1).to(values.dtype)
    y = torch.bmm(weights.view(batch * kv_heads, -1, weights.shape[-1]), values.flatten(0, 1))
    return y.view(batch, heads, count, dim).transpose(1, 2).reshape(batch, count, heads * dim)
