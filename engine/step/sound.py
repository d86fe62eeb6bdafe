"""Samples as the host has them and as the model does."""

import torch
from torch import Tensor


def to_float(pcm: Tensor) -> Tensor:
    """int16 samples as float32 in -1..1."""
    return pcm * 2.0**-15


def to_int16(pcm: Tensor) -> Tensor:
    """float32 samples as int16; what is louder than full scale is clipped."""
    return (pcm * 2.0**15).round_().clamp_(-32768, 32767).to(torch.int16)
