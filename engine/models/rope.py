"""Positions: rotations of queries and keys (RoPE, Su et al. 2021), or sines added to the input."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.kernels.fused import fused


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and sines [B, T, 1, head_dim / 2] in float32; pairs are neighbours, or far apart in
    `rope_concat`.
    """

    cos: Tensor
    sin: Tensor
    interleaved: bool

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, T, H, head_dim], rotated in float32 and given back in its own type."""
        if self.interleaved:
            real, imag = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
        else:
            real, imag = x.float().chunk(2, dim=-1)
        turned = (real * self.cos - imag * self.sin, real * self.sin + imag * self.cos)
        y = torch.stack(turned, dim=-1).flatten(-2) if self.interleaved else torch.cat(turned, dim=-1)
        return y.to(x.dtype)


def rotation(positions: Tensor, head_dim: int, max_period: float, interleaved: bool) -> Rotation:
    """Rotation for positions int64 [B, T] (`apply_rope`)."""
    return Rotation(*angles(positions, head_dim, max_period), interleaved)


@fused("positions")
def angles(positions: Tensor, head_dim: int, max_period: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every pair's angle, float32 [B, T, 1, head_dim / 2] each."""
    index = torch.arange(head_dim // 2, device=positions.device, dtype=torch.float32)
    frequencies = torch.exp(index * (-math.log(max_period) * 2 / head_dim))
    turned = positions.float()[:, :, None, None] * frequencies
    return turned.cos(), turned.sin()


def sine_embedding(positions: Tensor, dim: int, max_period: float, dtype: torch.dtype) -> Tensor:
    """[B, T, dim] to add to the input, for positions int64 [B, T] (`create_sin_embedding`)."""
    half = dim // 2
    index = torch.arange(half, device=positions.device, dtype=dtype)
    period = torch.full((), max_period, device=positions.device, dtype=dtype)
    phase = positions.to(dtype)[:, :, None] / period ** (index / (half - 1))
    return torch.cat([phase.cos(), phase.sin()], dim=-1)
