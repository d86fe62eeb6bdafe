"""Tokens on their way through the delays: in and out of the cache, one program a row."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def hear_and_enter(
    heard: Tensor, slots: Tensor, tokens: Tensor, offsets: Tensor, delays: Tensor, initial: Tensor
) -> Tensor:
    """As `engine.models.delays.hear_and_enter`; initial tokens for slot -1."""
    batch, heard_channels = heard.shape
    _, channels, capacity = tokens.shape
    fed = torch.empty(batch, channels, device=heard.device, dtype=torch.int64)
    launch(
        _hear_and_enter,
        (batch,),
        heard.contiguous(),
        slots,
        tokens,
        offsets,
        delays,
        initial,
        fed,
        warps=1,
        CHANNELS=channels,
        SAID=channels - heard_channels,
        CAPACITY=capacity,
        BLOCK=triton.next_power_of_2(channels),
    )
    return fed


def say_and_leave(
    text: Tensor,
    codes: Tensor,
    slots: Tensor,
    tokens: Tensor,
    offsets: Tensor,
    delays: Tensor,
    longest: int,
) -> Tensor:
    """As `engine.models.delays.say_and_leave`; zeros for slot -1."""
    batch, own = codes.shape
    _, channels, capacity = tokens.shape
    left = torch.empty(batch, 1 + own, device=codes.device, dtype=torch.int64)
    launch(
        _say_and_leave,
        (batch,),
        text.contiguous(),
        codes.contiguous(),
        slots,
        tokens,
        offsets,
        delays,
        left,
        warps=1,
        CHANNELS=channels,
        SAID=1 + own,
        CAPACITY=capacity,
        LONGEST=longest,
        BLOCK=triton.next_power_of_2(1 + own),
    )
    return left


@triton.jit
def _hear_and_enter(
    heard,
    slots,
    tokens,
    offsets,
    delays,
    initial,
    fed,
    CHANNELS: tl.constexpr,
    SAID: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    channel = tl.arange(0, BLOCK)
    inside = channel < CHANNELS
    first = tl.load(initial + channel, mask=inside, other=0)
    if slot < 0:
        tl.store(fed + row * CHANNELS + channel, first, mask=inside)
        return
    now = tl.load(offsets + slot)
    delay = tl.load(delays + channel, mask=inside, other=0)
    listens = inside & (channel >= SAID)
    code = tl.load(heard + row * (CHANNELS - SAID) + channel - SAID, mask=listens, other=0)
    cells = tokens + (slot * CHANNELS + channel) * CAPACITY
    # What is heard and fed at once goes past the cache, so that no cell is both written and read here.
    at_once = listens & (delay == 0)
    waiting = tl.load(cells + now % CAPACITY, mask=inside & ~at_once, other=0)
    tl.store(cells + (now + delay) % CAPACITY, code, mask=listens)
    token = tl.where(now <= delay, first, tl.where(at_once, code, waiting))
    tl.store(fed + row * CHANNELS + channel, token, mask=inside)


@triton.jit
def _say_and_leave(
    text,
    codes,
    slots,
    tokens,
    offsets,
    delays,
    left,
    CHANNELS: tl.constexpr,
    SAID: tl.constexpr,
    CAPACITY: tl.constexpr,
    LONGEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    channel = tl.arange(0, BLOCK)
    inside = channel < SAID
    if slot < 0:
        tl.store(left + row * SAID + channel, tl.zeros([BLOCK], tl.int64), mask=inside)
        return
    now = tl.load(offsets + slot) + 1
    delay = tl.load(delays + channel, mask=inside, other=0)
    code = tl.load(codes + row * (SAID - 1) + channel - 1, mask=inside & (channel > 0), other=0)
    token = tl.where(channel == 0, tl.load(text + row), code)
    cells = tokens + (slot * CHANNELS + channel) * CAPACITY
    # What is said and complete at once goes past the cache, so that no cell is both written and read here.
    at_once = delay == LONGEST
    # A capacity more, for the remainder of a negative time would be negative.
    time = now - LONGEST + delay + CAPACITY
    waiting = tl.load(cells + time % CAPACITY, mask=inside & ~at_once, other=0)
    tl.store(cells + now % CAPACITY, token, mask=inside)
    tl.store(left + row * SAID + channel, tl.where(at_once, token, waiting), mask=inside)
    # Not before every thread has read it.
    tl.debug_barrier()
    tl.store(offsets + slot, now)
