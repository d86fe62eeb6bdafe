"""What comes after the product of a strided or transposed convolution."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def overlap_add(pairs: Tensor, tail: Tensor, slots: Tensor) -> Tensor:
    """As `engine.models.conv.overlap_add`; rows of slot -1 are zeros."""
    batch, count, width = pairs.shape[0], pairs.shape[1], pairs.shape[2] // 2
    y = torch.empty(batch, count, width, device=pairs.device, dtype=pairs.dtype)
    block_width = min(triton.next_power_of_2(width), 256)
    block = 1024 // block_width
    grid = (batch, triton.cdiv(count, block), triton.cdiv(width, block_width))
    launch(
        _overlap_add, grid, pairs.contiguous(), tail, slots, y, count,
        WIDTH=width, BLOCK=block, BLOCK_WIDTH=block_width,
    )  # fmt: skip
    return y


@triton.jit
def _overlap_add(
    pairs, tail, slots, y, count, WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_WIDTH: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    slot = tl.load(slots + row)
    column = tl.program_id(2) * BLOCK_WIDTH + tl.arange(0, BLOCK_WIDTH)[None, :]
    position = tile * BLOCK + tl.arange(0, BLOCK)[:, None]
    inside = (position < count) & (column < WIDTH)
    y += (row * count + position) * WIDTH + column
    if slot < 0:
        tl.store(y, 0.0, mask=inside)
        return
    pairs += row * count * 2 * WIDTH + column
    tail += slot * WIDTH + column
    now = tl.load(pairs + position * 2 * WIDTH, mask=inside, other=0.0)
    before = tl.load(pairs + (position * 2 - 1) * WIDTH, mask=inside & (position > 0), other=0.0)
    kept = tl.load(tail + position * 0, mask=inside & (position == 0), other=0.0)
    tl.store(y, now + tl.where(position > 0, before, kept), mask=inside)
    # A tail is read and written by one program, the one with the first position, and columns keep to
    # themselves.
    if tile == 0:
        last = tl.load(pairs + (2 * count - 1) * WIDTH, mask=column < WIDTH)
        tl.debug_barrier()
        tl.store(tail, last, mask=column < WIDTH)
