"""Attention of many queries over rings, on tensor cores: a program takes a block of queries of one head over
all that is filled, with a running softmax (FlashAttention, Dao et al. 2022).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import dot, launch
from engine.kernels.ring import Ring, Window


def ring_prefill(query: Tensor, ring: Ring, slots: Tensor, window: Window) -> Tensor:
    """As `engine.models.attention.ring_attention`; scores in float32, weights in the type of the query; zeros
    for slot -1.
    """
    batch, count, heads, dim = query.shape
    kv_heads, capacity = ring.keys.shape[1:3]
    y = torch.empty(batch, count, heads * dim, device=query.device, dtype=query.dtype)
    rows = count * heads // kv_heads
    block = 16 if rows <= 16 else 64
    launch(
        _attend,
        (triton.cdiv(rows, block), kv_heads, batch),
        query.contiguous(),
        ring.keys,
        ring.values,
        ring.key_scales,
        ring.value_scales,
        slots,
        window.positions,
        y,
        count,
        warps=8 if query.dtype == torch.float32 else 4,
        stages=2,
        HEADS=heads,
        KV_HEADS=kv_heads,
        CAPACITY=capacity,
        DIM=dim,
        SCALE=dim**-0.5,
        BLOCK=block,
        TILE=32 if query.dtype == torch.float32 else 64,
        BLOCK_DIM=max(16, triton.next_power_of_2(dim)),
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
    y,
    count,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    CAPACITY: tl.constexpr,
    DIM: tl.constexpr,
    SCALE: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    REPEAT: tl.constexpr = HEADS // KV_HEADS
    row, kv_head = tl.program_id(2).to(tl.int64), tl.program_id(1)
    one = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    new, dim = one // REPEAT, tl.arange(0, BLOCK_DIM)
    slot = tl.load(slots + row)
    last = tl.load(positions + row * count + count - 1)
    filled = tl.where(slot < 0, 0, tl.minimum(last + 1, CAPACITY)).to(tl.int32)
    end = (last % CAPACITY).to(tl.int32)
    ring = (slot * KV_HEADS + kv_head) * CAPACITY
    vector = (row * count + new) * HEADS + kv_head * REPEAT + one % REPEAT
    inside = (new < count)[:, None] & (dim < DIM)[None, :]
    q = tl.load(query + vector[:, None] * DIM + dim[None, :], mask=inside, other=0.0)

    # Below every score, and finite: a query may see nothing of a tile.
    largest = tl.full((BLOCK,), -1e30, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    mean = tl.zeros((BLOCK, BLOCK_DIM), tl.float32)
    for start in range(0, filled, TILE):
        cell = start + tl.arange(0, TILE)
        held = (cell < filled)[:, None] & (dim < DIM)[None, :]
        tile = cell[:, None] * DIM + dim[None, :]
        k = tl.load(keys + ring * DIM + tile, mask=held, other=0.0).to(tl.float32).to(q.dtype)
        scores = dot(q, tl.trans(k), tl.zeros((BLOCK, TILE), tl.float32), "ieee") * SCALE
        if key_scales is not None:
            scores *= tl.load(key_scales + ring + cell, mask=cell < filled, other=0.0).to(tl.float32)[None, :]
        # A query sees what was written `back` before the last, but not those that come after itself.
        back = end - cell + tl.where(cell > end, CAPACITY, 0)
        seen = (cell < filled)[None, :] & (back[None, :] >= (count - 1 - new)[:, None])
        scores = tl.where(seen, scores, float("-inf"))
        before, largest = largest, tl.maximum(largest, tl.max(scores, axis=1))
        weights = tl.exp(scores - largest[:, None])
        shrunk = tl.exp(before - largest)
        total = total * shrunk + tl.sum(weights, axis=1)
        if value_scales is not None:
            scale = tl.load(value_scales + ring + cell, mask=cell < filled, other=0.0).to(tl.float32)
            weights *= scale[None, :]
        v = tl.load(values + ring * DIM + tile, mask=held, other=0.0).to(tl.float32).to(q.dtype)
        mean = dot(weights.to(q.dtype), v, mean * shrunk[:, None], "ieee")
    mean = mean / tl.where(total > 0, total, 1.0)[:, None]
    tl.store(y + vector[:, None] * DIM + dim[None, :], mean.to(y.dtype.element_ty), mask=inside)
