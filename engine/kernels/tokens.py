"""Tokens on their way through the delays: in and out of the cache, one program a row."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def hear_and_enter(
    heard: Tensor,
    slots: Tensor,
    tokens: Tensor,
    offsets: Tensor,
    delays: Tensor,
    initial: Tensor,
    given: Tensor | None = None,
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
        heard if given is None else given.contiguous(),
        fed,
        warps=1,
        CHANNELS=channels,
        SAID=channels - heard_channels,
        CAPACITY=capacity,
        GIVEN=given is not None,
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
    given: Tensor | None = None,
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
        codes if given is None else given.contiguous(),
        left,
        warps=1,
        CHANNELS=channels,
        SAID=1 + own,
        CAPACITY=capacity,
        LONGEST=longest,
        GIVEN=given is not None,
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
    given,
    fed,
    CHANNELS: tl.constexpr,
    SAID: tl.constexpr,
    CAPACITY: tl.constexpr,
    GIVEN: tl.constexpr,
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
    known, at_once = listens, listens & (delay == 0)
    if GIVEN:
        mine = inside & (channel < SAID)
        own = tl.load(given + row * SAID + channel, mask=mine, other=-1)
        told = mine & (delay == 0) & (own >= 0)
        code = tl.where(told, own, code)
        known, at_once = known | told, at_once | told
    cells = tokens + (slot * CHANNELS + channel) * CAPACITY
    # What is heard and fed at once goes past the cache, so that no cell is both written and read here.
    waiting = tl.load(cells + now % CAPACITY, mask=inside & ~at_once, other=0)
    tl.store(cells + (now + delay) % CAPACITY, code, mask=known)
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
    given,
    left,
    CHANNELS: tl.constexpr,
    SAID: tl.constexpr,
    CAPACITY: tl.constexpr,
    LONGEST: tl.constexpr,
    GIVEN: tl.constexpr,
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
    if GIVEN:
        own = tl.load(given + row * SAID + channel, mask=inside, other=-1)
        token = tl.where((delay > 0) & (own >= 0), own, token)
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
