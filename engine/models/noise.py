"""Random draws that are a function of what they are for, and of nothing else."""

import torch
from torch import Tensor


def gumbel_noise(seeds: Tensor, frames: Tensor, channels: range, tokens: int) -> Tensor:
    """Gumbel noise float32 [B, len(channels), tokens]: each draw depends on (seed, frame, channel, token id)
    alone.

    seeds: int64 [B] in 0..2^32 - 1; frames: int64 [B]. Hash: pcg4d (Jarzynski and Olano 2020, "Hash Functions
    for GPU Rendering"), in 32-bit integers that wrap.
    """
    device = seeds.device
    x = seeds.to(torch.int32)[:, None, None]
    y = frames.to(torch.int32)[:, None, None]
    z = torch.arange(channels.start, channels.stop, device=device, dtype=torch.int32)[:, None]
    w = torch.arange(tokens, device=device, dtype=torch.int32)
    x, y, z, w = (lane * 1664525 + 1013904223 for lane in (x, y, z, w))
    x = torch.addcmul(x, y, w)
    y = torch.addcmul(y, z, x)
    z = torch.addcmul(z, x, y)
    w = torch.addcmul(w, y, z)
    # In place, for at many sessions memory that is new costs as much as the arithmetic.
    for lane in (x, y, w):
        lane ^= (lane >> 16).bitwise_and_(0xFFFF)
    bits = w.mul_(y).add_(x)
    # 23 bits and a half: strictly between 0 and 1 in float32, so that both logarithms are finite.
    uniform = bits.bitwise_right_shift_(9).bitwise_and_(0x7FFFFF).float().add_(0.5).mul_(2.0**-23)
    return uniform.log_().neg_().log_().neg_()
