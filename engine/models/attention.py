"""Attention over ring caches, in plain PyTorch: the meaning that the kernels keep."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from engine.kernels.fused import fused
from engine.models.rope import Rotation
from engine.state.ring_cache import RingCache, TransformerState

_GATHERED_ELEMENTS = 2**26
_REACH = 64


@dataclass(frozen=True)
class Window:
    """Where the T new positions of each row, int64 [B, T], go in a ring of `capacity` cells and what they
    see.

    The masks are what the plain attention needs; kernels find them out for themselves.
    """

    positions: Tensor
    capacity: int

    @classmethod
    def ahead(cls, state: TransformerState, slots: Tensor, count: int) -> Self:
        """Takes the next `count` positions of each slot. At most the capacity of the ring."""
        assert count <= state.capacity, "more new positions than the ring holds"
        return cls(next_positions(state.offsets, slots, count), state.capacity)

    @cached_property
    def cells(self) -> Tensor:
        """Of the ring, int64 [B, T]."""
        return self.positions % self.capacity

    @cached_property
    def reach(self) -> int:
        """How many cells to read: as far as any row has filled, and some more."""
        if not self.positions.is_cpu:
            return self.capacity
        filled = int(self.positions[:, -1].max()) + 1
        return min(-(-filled // _REACH) * _REACH, self.capacity)

    @cached_property
    def unfilled(self) -> Tensor | None:
        """Cells that a row has not written yet, bool [B, reach]; None if all are known to be."""
        unfilled = self._held < 0
        return None if self.positions.is_cpu and not unfilled.any() else unfilled

    @cached_property
    def unseen(self) -> Tensor:
        """Cells that hold nothing, or what comes later, bool [B, T, reach]."""
        held = self._held[:, None, :]
        return (held < 0) | (held > self.positions[:, :, None])

    @cached_property
    def _held(self) -> Tensor:
        # Write before reading: at the wrap the first of several new positions has already lost the oldest
        # ones to those after it, as in the reference.
        last = self.positions[:, -1:]
        cells = torch.arange(self.reach, device=last.device)
        return last - (last - cells) % self.capacity


@fused("positions")
def next_positions(offsets: Tensor, slots: Tensor, count: int) -> Tensor:
    """The next `count` positions of slots int64 [B], int64 [B, T]; offsets, int64 [S], move past them."""
    first = offsets[slots]
    offsets.index_copy_(0, slots, first + count)
    return first[:, None] + torch.arange(count, device=slots.device)


@fused("ring_write")
def ring_write(
    projected: Tensor, ring: RingCache, slots: Tensor, window: Window, turn: Rotation | None
) -> Tensor:
    """Writes the new keys and values, and gives back the queries [B, T, H, head_dim].

    projected: [B, T, (H + 2 KV) * head_dim], queries, keys, values; the first two are turned.
    """
    kv_heads, head_dim = ring.keys.shape[1], ring.keys.shape[3]
    vectors = projected.view(*projected.shape[:-1], -1, head_dim)
    heads = vectors.shape[2] - 2 * kv_heads
    query_key, value = vectors[:, :, :-kv_heads], vectors[:, :, -kv_heads:]
    if turn is not None:
        query_key = turn(query_key)
    query, key = query_key[:, :, :heads], query_key[:, :, heads:]
    ring.write(slots, window.cells, key.transpose(1, 2), value.transpose(1, 2))
    return query


@fused("ring_attention")
def ring_attention(query: Tensor, ring: RingCache, slots: Tensor, window: Window) -> Tensor:
    """Softmax attention of query [B, T, H, D] over each slot's ring: [B, T, H * D].

    Cells that a slot has not filled do not count, whatever they hold. Gathers rings in pieces of bounded
    size.
    """
    rows = max(1, _GATHERED_ELEMENTS // ring.keys[0, :, : window.reach].numel())
    pieces = [slice(start, start + rows) for start in range(0, len(slots), rows)]
    unfilled = window.unfilled
    y = [
        _attend(query[p], ring, slots[p], window.unseen[p], None if unfilled is None else unfilled[p])
        for p in pieces
    ]
    return y[0] if len(y) == 1 else torch.cat(y)


def _attend(query: Tensor, ring: RingCache, slots: Tensor, unseen: Tensor, unfilled: Tensor | None) -> Tensor:
    batch, count, heads, dim = query.shape
    keys, values = ring.read(slots, unseen.shape[-1], query.dtype)
    if unfilled is not None:
        values.masked_fill_(unfilled[:, None, :, None], 0.0)
    kv_heads = keys.shape[1]
    # Query heads that share keys go into one product as further rows.
    shared = query.transpose(1, 2).reshape(batch * kv_heads, -1, dim)
    scores = products(shared, keys.flatten(0, 1).transpose(1, 2)).float() * dim**-0.5
    scores = scores.view(batch, heads, count, -1).masked_fill_(unseen[:, None], float("-inf"))
    weights = scores.softmax(dim=-1).to(values.dtype)
    y = products(weights.view(batch * kv_heads, -1, weights.shape[-1]), values.flatten(0, 1))
    return y.view(batch, heads, count, dim).transpose(1, 2).reshape(batch, count, heads * dim)


def products(rows: Tensor, matrices: Tensor) -> Tensor:
    """Batched products [N, R, :]. rows: [N, R, C]; matrices: [N, C, :].

    On CPU row by row and in float32: the order of a sum depends on how many rows a product has, on their
    length with several, and in bf16 with one too. So neither the positions that come at once nor the
    neighbours' contexts change a result.
    """
    if not rows.is_cpu:
        return torch.bmm(rows, matrices)
    narrow, wide = rows.float(), matrices.float()
    products = [torch.bmm(narrow[:, i : i + 1], wide) for i in range(rows.shape[1])]
    return torch.cat(products, dim=1).to(rows.dtype)
