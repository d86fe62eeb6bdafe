"""Where the new positions of each row are, and how far keys and queries turn there: once a step, for all
layers.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def next_positions(offsets: Tensor, slots: Tensor, count: int) -> Tensor:
    """As `engine.models.attention.next_positions`; -1 for slot -1."""
    positions = torch.empty(len(slots), count, device=slots.device, dtype=torch.int64)
    block = triton.next_power_of_2(count)
    launch(_next_positions, (len(slots),), offsets, slots, positions, count, warps=1, BLOCK=block)
    return positions


def angles(positions: Tensor, head_dim: int, max_period: float) -> tuple[Tensor, Tensor]:
    """As `engine.models.rope.angles`; of no meaning at position -1."""
    pairs = head_dim // 2
    cos = torch.empty((*positions.shape, 1, pairs), device=positions.device)
    sin = torch.empty_like(cos)
    slope = -math.log(max_period) * 2 / head_dim
    block = triton.next_power_of_2(pairs)
    launch(_angles, (positions.numel(),), positions, cos, sin, slope, warps=1, PAIRS=pairs, BLOCK=block)
    return cos, sin


@triton.jit
def _next_positions(offsets, slots, positions, count, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    live = slot >= 0
    first = tl.load(offsets + slot, mask=live, other=0)
    # Every thread has read the offset before one of them moves it.
    tl.debug_barrier()
    new = tl.arange(0, BLOCK)
    tl.store(positions + row * count + new, tl.where(live, first + new, -1), mask=new < count)
    tl.store(offsets + slot, first + count, mask=live)


@triton.jit
def _angles(positions, cos, sin, slope, PAIRS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    pair = tl.arange(0, BLOCK)
    angle = tl.load(positions + row).to(tl.float32) * tl.exp(pair.to(tl.float32) * slope)
    tl.store(cos + row * PAIRS + pair, tl.cos(angle), mask=pair < PAIRS)
    tl.store(sin + row * PAIRS + pair, tl.sin(angle), mask=pair < PAIRS)
