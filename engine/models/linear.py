"""Matrix products: exact whatever the batch, with what surrounds them, and with 8-bit weights."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kernels.fused import fused
from engine.models.norm import Norm, RMSNorm, rms_norm

# On CPU a product of fewer than four rows takes other kernels, which sum in another order, and several
# threads may leave such a few to one of them. In multiples of this, a row is the same in any company.
_ROWS = 4


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`, [..., out]. x: [..., in], weight: [out, in].

    On CPU in float32 each row's result does not depend on how many rows there are.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    count = rows.shape[0]
    if count % _ROWS:
        rows = F.pad(rows, (0, 0, 0, -count % _ROWS))
    y = F.linear(rows, weight, bias)
    return y[:count].view(*x.shape[:-1], weight.shape[0])


@fused("few_rows")
def product(
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    rms: tuple[Tensor, bool] | None = None,
    onto: Tensor | None = None,
) -> Tensor:
    """onto + (norm of x) @ weight.T + bias, [..., out].

    scale: of int8 weights, as `dequantised` takes it; rms: what `rms_norm` takes beside x; onto: a residual
    [..., out] that nobody needs any more.
    """
    x = x if rms is None else rms_norm(x, *rms)
    y = linear(x, weight if scale is None else dequantised(weight, scale, x.dtype), bias)
    return y if onto is None else onto + y


@fused("few_rows")
def gated_product(
    x: Tensor, weight: Tensor, scale: Tensor | None = None, rms: tuple[Tensor, bool] | None = None
) -> Tensor:
    """`silu_gate` of the product, [..., out / 2]."""
    return silu_gate(product(x, weight, scale, rms=rms))


@fused("gate")
def silu_gate(pair: Tensor) -> Tensor:
    """silu(gate) * value, [..., W], of both next to each other, [..., 2 W]."""
    gate, value = pair.chunk(2, dim=-1)
    return F.silu(gate) * value


def dequantised(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The weights that 8 bits stand for, [out, in]: int8 [out, in], in 127ths of each row's `scale` [out]."""
    return (weight.float() * scale[:, None] / 127).to(dtype)


class AnyLinear(nn.Module, ABC):
    """Weights [out, in], with the scale of each row where they have 8 bits, and perhaps a bias."""

    stored: ClassVar[torch.dtype | None] = None
    weight_scb: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=self.stored), requires_grad=False)
        scale = nn.Parameter(torch.empty(outputs, dtype=torch.float32), requires_grad=False)
        self.weight_scb = None if self.stored is None else scale
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if bias else None

    @abstractmethod
    def forward(self, x: Tensor, norm: Norm | None = None, onto: Tensor | None = None) -> Tensor:
        """onto + the product of norm(x), [..., out]; `onto` may be overwritten."""

    @abstractmethod
    def gated(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        """[..., out / 2]: what `silu_gate` makes of the product of norm(x)."""

    @staticmethod
    def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weights as they are stored and their scales, for `weight` [out, in]."""
        raise NotImplementedError


class Linear(AnyLinear):
    """Weights in the type of the activations."""

    def forward(self, x: Tensor, norm: Norm | None = None, onto: Tensor | None = None) -> Tensor:
        """As `AnyLinear.forward`."""
        x, rms = normed(x, norm)
        return product(x, self.weight, self.weight_scb, self.bias, rms, onto)

    def gated(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        """As `AnyLinear.gated`."""
        assert self.bias is None, "gates have no biases"
        x, rms = normed(x, norm)
        return gated_product(x, self.weight, self.weight_scb, rms)


class Int8Linear(Linear):
    """Weights in 127ths of the largest magnitude of each row, as in upstream's q8 files.

    Activations keep their type, unlike upstream's LLM.int8, which rounds them to 8 bits as well.
    """

    stored = torch.int8

    @staticmethod
    def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `AnyLinear.quantised`, by upstream's rule."""
        wide = weight.float()
        largest = wide.abs().amax(dim=1)
        steps = wide * (127 / largest.clamp(min=1e-30))[:, None]
        return steps.round_().to(torch.int8), largest


def normed(x: Tensor, norm: Norm | None) -> tuple[Tensor, tuple[Tensor, bool] | None]:
    """x, and how it is still to be normalised: a product can do that for one of the two kinds."""
    if isinstance(norm, RMSNorm):
        return x, norm.parts
    return (x if norm is None else norm(x)), None
