"""Between the frame rate of the codes and that of the codec's transformers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def downsample_window(x: Tensor, tail: Tensor, fresh: Tensor, slots: Tensor) -> Tensor:
    """As `engine.models.conv.downsample_window`; windows of slot -1 are zeros."""
    batch, stride, channels = x.shape
    size = stride * channels
    window = torch.empty(batch, 1, 2 * size, device=x.device, dtype=x.dtype)
    launch(
        _downsample_window, (batch,), x.contiguous(), tail, fresh, slots, window,
        CHANNELS=channels, SIZE=size, BLOCK=triton.next_power_of_2(size),
    )  # fmt: skip
    return window


def upsample(x: Tensor, weight: Tensor, tail: Tensor, slots: Tensor) -> Tensor:
    """As `engine.models.conv.upsample`; rows of slot -1 are zeros."""
    batch, stride, channels = x.shape[0], tail.shape[1], tail.shape[2]
    y = torch.empty(batch, stride, channels, device=x.device, dtype=x.dtype)
    size = stride * channels
    block = min(triton.next_power_of_2(size), 256)
    launch(
        _upsample, (batch, triton.cdiv(size, block)), x.contiguous(), weight, tail, slots, y,
        CHANNELS=channels, SIZE=size, BLOCK=block,
    )  # fmt: skip
    return y


@triton.jit
def _downsample_window(
    x, tail, fresh, slots, window, CHANNELS: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    item = tl.arange(0, BLOCK)
    inside = item < SIZE
    window += row * 2 * SIZE + item
    if slot < 0:
        tl.store(window, 0.0, mask=inside)
        tl.store(window + SIZE, 0.0, mask=inside)
        return
    x += row * SIZE
    tail += slot * SIZE + item
    new = tl.load(x + item, mask=inside)
    first = tl.load(x + item % CHANNELS, mask=inside)
    old = tl.load(tail, mask=inside)
    is_fresh = tl.load(fresh + slot)
    tl.store(window, tl.where(is_fresh, first, old), mask=inside)
    tl.store(window + SIZE, new, mask=inside)
    # One program does a whole row, so whether it is fresh is read and written by this one alone.
    tl.debug_barrier()
    tl.store(tail, new, mask=inside)
    tl.store(fresh + slot, False)


@triton.jit
def _upsample(x, weight, tail, slots, y, CHANNELS: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    item = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = item < SIZE
    y += row * SIZE + item
    if slot < 0:
        tl.store(y, 0.0, mask=inside)
        return
    value = tl.load(x + row * CHANNELS + item % CHANNELS, mask=inside)
    now = tl.load(weight + item, mask=inside)
    later = tl.load(weight + SIZE + item, mask=inside)
    tail += slot * SIZE + item
    tl.store(y, value * now + tl.load(tail, mask=inside), mask=inside)
    # Each program has read its own part of the tail before any thread of it writes there.
    tl.debug_barrier()
    tl.store(tail, value * later, mask=inside)
