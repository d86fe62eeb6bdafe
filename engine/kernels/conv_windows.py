"""What comes before the product of a convolution: ELU, the tail of the slot, windows."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def conv_windows(x: Tensor, tail: Tensor, slots: Tensor, kernel: int, neighbours: int, elu: bool) -> Tensor:
    """As `engine.models.conv.conv_windows`; windows of slot -1 are zeros."""
    batch, count, channels = x.shape
    taps, windows = kernel + neighbours - 1, count // neighbours
    y = torch.empty(batch, windows, taps * channels, device=x.device, dtype=x.dtype)
    block_channels = min(triton.next_power_of_2(channels), 64)
    kept = triton.next_power_of_2(kernel - 1)
    block = max(kept, 1024 // block_channels)
    grid = (batch, triton.cdiv(windows, block), triton.cdiv(channels, block_channels))
    launch(
        _conv_windows, grid, x.contiguous(), tail, slots, y, count, windows,
        CHANNELS=channels, TAPS=taps, STEP=neighbours, PAST=kernel - 1, ELU=elu,
        BLOCK=block, KEPT=kept, BLOCK_CHANNELS=block_channels,
    )  # fmt: skip
    return y


@triton.jit
def elu(x):
    """In float32."""
    return tl.where(x > 0, x, tl.exp(x) - 1)


@triton.jit
def _conv_windows(
    x, tail, slots, y, count, windows,
    CHANNELS: tl.constexpr, TAPS: tl.constexpr, STEP: tl.constexpr, PAST: tl.constexpr, ELU: tl.constexpr,
    BLOCK: tl.constexpr, KEPT: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    slot = tl.load(slots + row)
    channel = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    window = tile * BLOCK + tl.arange(0, BLOCK)[:, None]
    used = channel < CHANNELS
    inside = (window < windows) & used
    x += row * count * CHANNELS
    y += (row * windows + window) * TAPS * CHANNELS + channel
    tail += slot * PAST * CHANNELS
    if slot < 0:
        for tap in tl.static_range(TAPS):
            tl.store(y + tap * CHANNELS, 0.0, mask=inside)
        return
    for tap in tl.static_range(TAPS):
        value = _behind_tail(x, tail, window * STEP + tap - PAST, channel, inside, CHANNELS, PAST, ELU)
        tl.store(y + tap * CHANNELS, value, mask=inside)
    # A tail is read and written by one program: only the first tile, at least as long as the tail, reaches
    # back into it, and channels keep to themselves.
    if tile == 0:
        item = tl.arange(0, KEPT)[:, None]
        kept = (item < PAST) & used
        last = _behind_tail(x, tail, count - PAST + item, channel, kept, CHANNELS, PAST, ELU)
        tl.debug_barrier()
        tl.store(tail + item * CHANNELS + channel, last, mask=kept)


@triton.jit
def _behind_tail(
    x, tail, position, channel, inside, CHANNELS: tl.constexpr, PAST: tl.constexpr, ELU: tl.constexpr
):
    """x, or ELU(x), at a position; at a negative one the tail, in which the ELU is already."""
    new = tl.load(x + position * CHANNELS + channel, mask=inside & (position >= 0), other=0.0)
    old = tl.load(tail + (PAST + position) * CHANNELS + channel, mask=inside & (position < 0), other=0.0)
    return tl.where(position < 0, old, elu(new) if ELU else new)
