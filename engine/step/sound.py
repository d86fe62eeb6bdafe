"""Samples as the host has them and as the model does."""

import torch
from torch import Tensor

from engine.kernels.fused import fused


def to_float(pcm: Tensor) -> Tensor:
    """int16 samples as float32 in -1..1."""
    return pcm * 2.0**-15


def to_int16(pcm: Tensor) -> Tensor:
    """float32 samples as int16; what is louder than full scale is clipped."""
    return (pcm * 2.0**15).round_().clamp_(-32768, 32767).to(torch.int16)


@fused("answer")
def put_answer(
    pcm: Tensor, text: Tensor, codes: Tensor, user_codes: Tensor, tokens: Tensor, sound: Tensor
) -> None:
    """Writes a step's answer where the host fetches it: `to_int16` of pcm into sound int16 [B, N], all tokens
    into tokens int64 [B, 1 + own + heard].

    pcm: float32 [B, N]; text: int64 [B]; codes: int64 [B, own]; user_codes: int64 [B, heard].
    """
    torch.cat([text[:, None], codes, user_codes], dim=1, out=tokens)
    sound.copy_(to_int16(pcm))
