"""A token from a row of logits: threshold of the top k, noise, and the largest, in one program a row."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch

_CHUNK = 2048


def draw(
    logits: Tensor,
    slots: Tensor,
    frames: Tensor,
    seeds: Tensor,
    temperatures: Tensor,
    top_k: Tensor,
    channel: int,
) -> Tensor:
    """As `engine.models.sampler.draw`; token 0 for slot -1."""
    batch, vocabulary = logits.shape
    tokens = torch.empty(batch, device=logits.device, dtype=torch.int64)
    block = triton.next_power_of_2(vocabulary)
    launch(
        _draw,
        (batch,),
        logits.contiguous(),
        slots,
        frames,
        seeds,
        temperatures,
        top_k,
        tokens,
        channel,
        warps=16 if block > 8192 else 8,
        VOCABULARY=vocabulary,
        KIND=min(channel, 1),
        BLOCK=block,
        CHUNK=min(block, _CHUNK),
    )
    return tokens


@triton.jit(do_not_specialize=["channel"])
def _draw(
    logits,
    slots,
    frames,
    seeds,
    temperatures,
    top_k,
    tokens,
    channel,
    VOCABULARY: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row)
    if slot < 0:
        tl.store(tokens + row, 0)
        return
    temperature = tl.load(temperatures + 2 * slot + KIND)
    count = tl.minimum(tl.load(top_k + 2 * slot + KIND), VOCABULARY)
    greedy = temperature <= 0
    # The largest logit is among the top k, whatever k is; to keep all needs no search.
    count = tl.where(greedy, VOCABULARY, count).to(tl.int32)
    last = _kth_largest(logits + row * VOCABULARY, count, VOCABULARY, BLOCK)

    x = tl.load(seeds + slot).to(tl.uint32)
    y = tl.load(frames + slot).to(tl.uint32)
    best = tl.full([CHUNK], float("-inf"), tl.float32)
    chosen = tl.zeros([CHUNK], tl.int32)
    # In chunks, for the noise of a whole row would not fit into registers beside it.
    for start in range(0, VOCABULARY, CHUNK):
        token = start + tl.arange(0, CHUNK)
        inside = token < VOCABULARY
        value = tl.load(logits + row * VOCABULARY + token, mask=inside, other=0.0).to(tl.float32)
        kept = inside & (_ordered(value) >= last)
        noise = _gumbel(x, y, channel, token)
        score = tl.where(greedy, value, value / tl.where(greedy, 1.0, temperature) + noise)
        # Finite, so that what is kept is ahead of what is not.
        score = tl.maximum(score, -3.4028234663852886e38)
        better = kept & (score > best)
        best = tl.where(better, score, best)
        chosen = tl.where(better, token, chosen)
    # The first of equals. Of a row that is not a number any token will do that is one.
    first = tl.min(tl.where(best == tl.max(best, axis=0), chosen, VOCABULARY - 1), axis=0)
    tl.store(tokens + row, first.to(tl.int64))


@triton.jit
def _ordered(value):
    """int32 in the order of float32 `value`; both zeros are one."""
    bits = tl.where(value == 0, 0.0, value).to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@triton.jit
def _kth_largest(row, count, VOCABULARY: tl.constexpr, BLOCK: tl.constexpr):
    """A bound in `_ordered` that `count` values reach, and more only where they tie: by bisection."""
    token = tl.arange(0, BLOCK)
    inside = token < VOCABULARY
    value = _ordered(tl.load(row + token, mask=inside, other=float("-inf")).to(tl.float32))
    # At least `count` values reach `low`, fewer reach `high`.
    low = tl.min(tl.where(inside, value, 0x7FFFFFFF), axis=0).to(tl.int64)
    high = tl.max(value, axis=0).to(tl.int64) + 1
    high = tl.where(count == VOCABULARY, low + 1, high)
    while low + 1 < high:
        middle = (low + high) >> 1
        reached = tl.sum((value >= middle.to(tl.int32)).to(tl.int32), axis=0)
        low = tl.where(reached >= count, middle, low)
        high = tl.where(reached > count, high, tl.where(reached == count, low + 1, middle))
    return low.to(tl.int32)


@triton.jit
def _gumbel(x, y, channel, token):
    """As `engine.models.noise.gumbel_noise`."""
    x = x * 1664525 + 1013904223
    y = y * 1664525 + 1013904223
    z = tl.full([1], channel, tl.uint32) * 1664525 + 1013904223
    w = token.to(tl.uint32) * 1664525 + 1013904223
    x += y * w
    y += z * x
    z += x * y
    w += y * z
    x ^= x >> 16
    y ^= y >> 16
    w ^= w >> 16
    bits = x + y * w
    uniform = ((bits >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07
    return -tl.log(-tl.log(uniform))
