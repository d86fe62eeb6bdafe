"""Normalisations by the names that the official configurations give them (`create_norm_fn`)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kernels.fused import fused


class LayerNorm(nn.Module):
    """Mean and variance over the last dimension; `f32` computes in float32 with a smaller epsilon."""

    def __init__(self, dim: int, f32: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(dim), requires_grad=False)
        self._f32 = f32

    def forward(self, x: Tensor) -> Tensor:
        """As x."""
        if self._f32:
            y = F.layer_norm(x.float(), x.shape[-1:], self.weight.float(), self.bias.float(), eps=1e-8)
            return y.to(x.dtype)
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, eps=1e-5)


class RMSNorm(nn.Module):
    """Root mean square over the last dimension; `f32` computes in float32 with a smaller epsilon."""

    def __init__(self, dim: int, f32: bool = False) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, 1, dim), requires_grad=False)
        self._f32 = f32

    @property
    def parts(self) -> tuple[Tensor, bool]:
        """Gain and `f32`, as `rms_norm` takes them."""
        return self.alpha, self._f32

    def forward(self, x: Tensor) -> Tensor:
        """As x."""
        return rms_norm(x, *self.parts)


@fused("norm")
def rms_norm(x: Tensor, gain: Tensor, f32: bool) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * gain, over the last dimension; gain: D elements in any shape."""
    wide = x.float() if f32 else x
    power = (1e-8 if f32 else 1e-5) + wide.square().mean(dim=-1, keepdim=True)
    return (wide * (gain.flatten().to(power.dtype) * torch.rsqrt(power))).to(x.dtype)


Norm = LayerNorm | RMSNorm


def make_norm(name: str, dim: int) -> Norm:
    """The normalisation called `name` in a configuration that has been checked."""
    kind = LayerNorm if name.startswith("layer_norm") else RMSNorm
    return kind(dim, f32=name.endswith("_f32"))
