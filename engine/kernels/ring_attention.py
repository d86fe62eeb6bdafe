"""Attention of few queries over long rings: each program takes 256 positions of one head, so that the reading
is spread over the whole device, and never more than is filled.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch
from engine.kernels.ring import Ring, Window
from engine.kernels.ring_prefill import ring_prefill

# Fixed, and not their number: then a row is summed the same way in every batch, and at every context.
_SPLIT = 256
_FEW = 4


def ring_attention(query: Tensor, ring: Ring, slots: Tensor, window: Window) -> Tensor:
    """As `engine.models.attention.ring_attention`, with scores and weights in float32; zeros for slot -1."""
    batch, count, heads, dim = query.shape
    kv_heads, capacity = ring.keys.shape[1:3]
    rows = count * heads // kv_heads
    if rows > _FEW:
        return ring_prefill(query, ring, slots, window)
    y = torch.empty(batch, count, heads * dim, device=query.device, dtype=query.dtype)
    splits = triton.cdiv(capacity, _SPLIT)
    block, block_dim = min(_SPLIT, triton.next_power_of_2(capacity)), triton.next_power_of_2(dim)
    tile = block * block_dim * ring.keys.itemsize
    parts, sizes = y, None
    if splits > 1:
        shape = (batch, count, heads, splits)
        parts = torch.empty(*shape, dim, device=query.device, dtype=torch.float32)
        sizes = torch.empty(shape, device=query.device, dtype=torch.float32)
    launch(
        _attend,
        # The queries that read the same keys come first, to find them in the cache.
        (rows, kv_heads * splits, batch),
        query.contiguous(),
        ring.keys,
        ring.values,
        ring.key_scales,
        ring.value_scales,
        slots,
        window.positions,
        parts,
        sizes,
        count,
        # So that keys and values of the whole split wait in registers.
        warps=16 if tile > 2**16 else 8 if tile > 2**14 else 4,
        HEADS=heads,
        KV_HEADS=kv_heads,
        CAPACITY=capacity,
        DIM=dim,
        SCALE=dim**-0.5,
        SPLIT=_SPLIT,
        SPLITS=splits,
        BLOCK=block,
        BLOCK_DIM=block_dim,
    )
    if sizes is not None:
        launch(
            _combine,
            (batch * count * heads,),
            parts,
            sizes,
            slots,
            window.positions,
            y,
            count,
            HEADS=heads,
            DIM=dim,
            SPLIT=_SPLIT,
            SPLITS=splits,
            BLOCK=triton.next_power_of_2(splits),
            BLOCK_DIM=block_dim,
        )
    return y


@triton.jit
def _attend(
    query,
    keys,
    values,
    key_scales,
    value_scales,
    slots,
    positions,
    parts,
    sizes,
    count,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    CAPACITY: tl.constexpr,
    DIM: tl.constexpr,
    SCALE: tl.constexpr,
    SPLIT: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    REPEAT: tl.constexpr = HEADS // KV_HEADS
    row = tl.program_id(2).to(tl.int64)
    new, head = tl.program_id(0) // REPEAT, tl.program_id(0) % REPEAT
    kv_head, split = tl.program_id(1) // SPLITS, tl.program_id(1) % SPLITS
    slot = tl.load(slots + row)
    last = tl.load(positions + row * count + count - 1)
    filled = tl.where(slot < 0, 0, tl.minimum(last + 1, CAPACITY)).to(tl.int32)
    # A row of padding has its zeros from the first split.
    if split * SPLIT >= tl.maximum(filled, 1):
        return

    cell, dim = split * SPLIT + tl.arange(0, BLOCK), tl.arange(0, BLOCK_DIM)
    inside = (cell < filled)[:, None] & (dim < DIM)[None, :]
    ring = (slot * KV_HEADS + kv_head) * CAPACITY
    tile = cell[:, None] * DIM + dim[None, :]
    k = tl.load(keys + ring * DIM + tile, mask=inside, other=0.0)
    v = tl.load(values + ring * DIM + tile, mask=inside, other=0.0)
    vector = (row * count + new) * HEADS + kv_head * REPEAT + head
    q = tl.load(query + vector * DIM + dim, mask=dim < DIM, other=0.0).to(tl.float32)
    scores = tl.sum(q[None, :] * k.to(tl.float32), axis=1) * SCALE
    if key_scales is not None:
        scores *= tl.load(key_scales + ring + cell, mask=cell < filled, other=0.0).to(tl.float32)
    # Of several new positions each sees what was written `back` before the last, but not those after itself.
    end = (last % CAPACITY).to(tl.int32)
    back = end - cell + tl.where(cell > end, CAPACITY, 0)
    seen = (cell < filled) & (back >= count - 1 - new)
    scores = tl.where(seen, scores, float("-inf"))
    # Where nothing is seen, there is no largest.
    largest = tl.maximum(tl.max(scores, axis=0), -1e30)
    weights = tl.exp(scores - largest)
    total = tl.sum(weights, axis=0)
    if value_scales is not None:
        weights *= tl.load(value_scales + ring + cell, mask=cell < filled, other=0.0).to(tl.float32)
    y = tl.sum(weights[:, None] * v.to(tl.float32), axis=0) / tl.where(total > 0, total, 1.0)
    if SPLITS > 1:
        vector = vector * SPLITS + split
        tl.store(sizes + vector, largest + tl.log(tl.maximum(total, 1e-30)))
    tl.store(parts + vector * DIM + dim, y.to(parts.dtype.element_ty), mask=dim < DIM)


@triton.jit
def _combine(
    parts,
    sizes,
    slots,
    positions,
    y,
    count,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    SPLIT: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    """The mean of the parts, weighted by the logarithms of their sums of weights."""
    vector = tl.program_id(0).to(tl.int64)
    row = vector // HEADS // count
    slot = tl.load(slots + row)
    last = tl.where(slot < 0, -1, tl.load(positions + row * count + count - 1))
    split, dim = tl.arange(0, BLOCK), tl.arange(0, BLOCK_DIM)
    # After the wrap every split is filled.
    filled = (split * SPLIT <= last) & (split < SPLITS)
    size = tl.load(sizes + vector * SPLITS + split, mask=filled, other=float("-inf"))
    weights = tl.exp(size - tl.maximum(tl.max(size, axis=0), -1e30))
    inside = filled[:, None] & (dim < DIM)[None, :]
    part = tl.load(parts + (vector * SPLITS + split)[:, None] * DIM + dim[None, :], mask=inside, other=0.0)
    total = tl.sum(weights, axis=0)
    mean = tl.sum(weights[:, None] * part, axis=0) / tl.where(total > 0, total, 1.0)
    tl.store(y + vector * DIM + dim, mean.to(y.dtype.element_ty), mask=dim < DIM)
