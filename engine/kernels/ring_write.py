"""What follows the projection of an attention layer: queries and keys are turned, keys and values kept."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import INTERPRETED, launch
from engine.kernels.ring import Ring, Turn, Window

_HEADS = 8


def ring_write(projected: Tensor, ring: Ring, slots: Tensor, window: Window, turn: Turn | None) -> Tensor:
    """As `engine.models.attention.ring_write`; zeros for slot -1, and nothing written."""
    batch, count, width = projected.shape
    kv_heads, capacity, dim = ring.keys.shape[1:]
    heads = width // dim - 2 * kv_heads
    query = torch.empty(batch, count, heads, dim, device=projected.device, dtype=projected.dtype)
    launch(
        _ring_write,
        (batch * count, triton.cdiv(heads + 2 * kv_heads, _HEADS)),
        projected.contiguous(),
        turn and turn.cos,
        turn and turn.sin,
        slots,
        window.positions,
        query,
        ring.keys,
        ring.values,
        ring.key_scales,
        ring.value_scales,
        count,
        HEADS=heads,
        KV_HEADS=kv_heads,
        CAPACITY=capacity,
        DIM=dim,
        INTERLEAVED=turn is not None and turn.interleaved,
        BLOCK_HEADS=_HEADS,
        BLOCK_DIM=triton.next_power_of_2(dim),
    )
    return query


@triton.jit
def _ring_write(
    projected,
    cos,
    sin,
    slots,
    positions,
    query,
    keys,
    values,
    key_scales,
    value_scales,
    count,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    CAPACITY: tl.constexpr,
    DIM: tl.constexpr,
    INTERLEAVED: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + token // count)
    cell = tl.load(positions + token) % CAPACITY
    head = tl.program_id(1) * BLOCK_HEADS + tl.arange(0, BLOCK_HEADS)
    live = head < tl.where(slot < 0, 0, HEADS + 2 * KV_HEADS)
    dim = tl.arange(0, BLOCK_DIM)
    vector = projected + (token * (HEADS + 2 * KV_HEADS) + head)[:, None] * DIM
    inside = live[:, None] & (dim < DIM)[None, :]
    x = tl.load(vector + dim[None, :], mask=inside, other=0.0).to(tl.float32)
    if cos is not None:
        # Each component with the other one of its pair.
        if INTERLEAVED:
            first, partner, pair = dim % 2 == 0, dim ^ 1, dim // 2
        else:
            first, partner, pair = dim < DIM // 2, (dim + DIM // 2) % DIM, dim % (DIM // 2)
        other = tl.load(vector + partner[None, :], mask=inside, other=0.0).to(tl.float32)
        c = tl.load(cos + token * (DIM // 2) + pair, mask=dim < DIM, other=0.0)
        s = tl.load(sin + token * (DIM // 2) + pair, mask=dim < DIM, other=0.0)
        turned = x * c[None, :] + other * tl.where(first, -s, s)[None, :]
        turned = turned.to(projected.dtype.element_ty).to(tl.float32)
        x = tl.where((head < HEADS + KV_HEADS)[:, None], turned, x)
    out = query + (token * HEADS + head)[:, None] * DIM + dim[None, :]
    tl.store(out, x.to(query.dtype.element_ty), mask=(head < HEADS)[:, None] & (dim < DIM)[None, :])
    key, value = head - HEADS, head - HEADS - KV_HEADS
    first = slot * KV_HEADS
    _keep(keys, key_scales, (first + key) * CAPACITY + cell, live & (key >= 0) & (value < 0), x, DIM)
    _keep(values, value_scales, (first + value) * CAPACITY + cell, live & (value >= 0), x, DIM)


@triton.jit
def _keep(ring, scales, cell, mine, x, DIM: tl.constexpr):
    """Vectors x [heads, dim] into the cells that are `mine`, in the precision of the ring."""
    if scales is not None:
        scale = (tl.max(tl.abs(x), axis=1) / 127).to(tl.float16)
        tl.store(scales + cell, scale, mask=mine)
        # Too small for a float16: such a vector is zeros.
        step = tl.where(scale == 0, 1.0, scale.to(tl.float32))
        x = tl.floor(tl.math.div_rn(x, tl.broadcast_to(step[:, None], x.shape)) + 0.5)
        x = tl.minimum(tl.maximum(x, -127.0), 127.0)
    elif ring.dtype.element_ty == tl.float8e4nv:
        # What is too large for one would become NaN.
        x = tl.minimum(tl.maximum(x, -448.0), 448.0)
        if INTERPRETED:
            # Where a carry out of the mantissa is lost, so nothing is left to round.
            bits = x.to(tl.int32, bitcast=True)
            bits = (bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000
            x = bits.to(tl.float32, bitcast=True)
    dim = tl.arange(0, x.shape[1])
    where = ring + cell[:, None] * DIM + dim[None, :]
    tl.store(where, x.to(ring.dtype.element_ty), mask=mine[:, None] & (dim < DIM)[None, :])
