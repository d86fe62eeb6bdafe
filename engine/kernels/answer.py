"""A step's answer into the memory that goes to the host, one program a row."""

import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch

# Added to a float32 of magnitude below 2^22 it leaves a whole number, halves going to the even one.
_WHOLE = tl.constexpr(1.5 * 2.0**23)


def put_answer(
    pcm: Tensor, text: Tensor, codes: Tensor, user_codes: Tensor, tokens: Tensor, sound: Tensor
) -> None:
    """As `engine.step.sound.put_answer`."""
    batch, samples = pcm.shape
    said, heard = codes.shape[1], user_codes.shape[1]
    launch(
        _put_answer,
        (batch,),
        pcm.contiguous(),
        # Both are columns of one tensor, which to copy would be a kernel each.
        text,
        text.stride(0),
        codes,
        codes.stride(0),
        user_codes.contiguous(),
        tokens,
        sound,
        SAMPLES=samples,
        SAID=said,
        HEARD=heard,
        BLOCK=triton.next_power_of_2(samples),
        CHANNELS=triton.next_power_of_2(1 + said + heard),
    )


@triton.jit
def _put_answer(
    pcm,
    text,
    text_stride,
    codes,
    codes_stride,
    user_codes,
    tokens,
    sound,
    SAMPLES: tl.constexpr,
    SAID: tl.constexpr,
    HEARD: tl.constexpr,
    BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    sample = tl.arange(0, BLOCK)
    value = tl.load(pcm + row * SAMPLES + sample, mask=sample < SAMPLES, other=0.0) * 32768
    value = tl.minimum(tl.maximum(value, -32768.0), 32767.0)
    value = (value + _WHOLE) - _WHOLE
    tl.store(sound + row * SAMPLES + sample, value.to(tl.int16), mask=sample < SAMPLES)

    channel = tl.arange(0, CHANNELS)
    is_code = (channel > 0) & (channel <= SAID)
    is_heard = (channel > SAID) & (channel <= SAID + HEARD)
    code = tl.load(codes + row * codes_stride + channel - 1, mask=is_code, other=0)
    heard = tl.load(user_codes + row * HEARD + channel - 1 - SAID, mask=is_heard, other=0)
    token = tl.where(channel == 0, tl.load(text + row * text_stride), tl.where(is_code, code, heard))
    tl.store(tokens + row * (1 + SAID + HEARD) + channel, token, mask=channel <= SAID + HEARD)
