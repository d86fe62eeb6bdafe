"""Attention over the few steps of one frame, which fit into registers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def step_attention(projected: Tensor, keys: Tensor, values: Tensor, step: int) -> Tensor:
    """As `engine.models.depformer.step_attention`."""
    batch, kv_heads, steps, head_dim = keys.shape
    heads = projected.shape[-1] // head_dim - 2 * kv_heads
    y = torch.empty((batch, 1, heads * head_dim), device=projected.device, dtype=projected.dtype)
    launch(
        _step_attention,
        (batch, kv_heads),
        *(projected.contiguous(), keys, values, y, step),
        warps=1,
        GROUP=heads // kv_heads,
        KV_HEADS=kv_heads,
        STEPS=steps,
        WIDTH=head_dim,
        BLOCK_S=triton.next_power_of_2(steps),
        BLOCK_D=triton.next_power_of_2(head_dim),
    )
    return y


@triton.jit(do_not_specialize=["step"])
def _step_attention(
    projected,
    keys,
    values,
    y,
    step,
    GROUP: tl.constexpr,
    KV_HEADS: tl.constexpr,
    STEPS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    kind = y.dtype.element_ty
    d = tl.arange(0, BLOCK_D)
    s = tl.arange(0, BLOCK_S)
    inside = d < WIDTH
    parts = projected + row * (GROUP + 2) * KV_HEADS * WIDTH
    key = tl.load(parts + (GROUP * KV_HEADS + kv_head) * WIDTH + d, mask=inside, other=0.0)
    value = tl.load(parts + ((GROUP + 1) * KV_HEADS + kv_head) * WIDTH + d, mask=inside, other=0.0)
    ring = (row * KV_HEADS + kv_head) * STEPS * WIDTH
    tl.store(keys + ring + step * WIDTH + d, key, mask=inside)
    tl.store(values + ring + step * WIDTH + d, value, mask=inside)
    # This step's own come from registers, so nothing is read that was written here.
    place = ring + s[:, None] * WIDTH + d[None, :]
    earlier = (s < step)[:, None] & inside[None, :]
    now = (s == step)[:, None]
    all_keys = tl.load(keys + place, mask=earlier, other=0.0).to(tl.float32)
    all_keys = tl.where(now, key.to(tl.float32)[None, :], all_keys)
    all_values = tl.load(values + place, mask=earlier, other=0.0).to(tl.float32)
    all_values = tl.where(now, value.to(tl.float32)[None, :], all_values)
    for head in tl.static_range(GROUP):
        column = (kv_head * GROUP + head) * WIDTH + d
        query = tl.load(parts + column, mask=inside, other=0.0).to(tl.float32)
        scores = tl.sum(all_keys * query[None, :], axis=1).to(kind).to(tl.float32) * WIDTH**-0.5
        scores = tl.where(s <= step, scores, float("-inf"))
        weights = tl.exp(scores - tl.max(scores, axis=0))
        weights = (weights / tl.sum(weights, axis=0)).to(kind).to(tl.float32)
        result = tl.sum(weights[:, None] * all_values, axis=0)
        tl.store(y + row * GROUP * KV_HEADS * WIDTH + column, result.to(kind), mask=inside)
