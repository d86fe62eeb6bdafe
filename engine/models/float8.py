"""Products of 8-bit floats: weights and activations as e4m3, each row with a scale of its own."""

import torch
from torch import Tensor

from engine.kernels.fused import fused
from engine.models.linear import AnyLinear, linear, normed, silu_gate
from engine.models.norm import Norm, rms_norm

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0


@fused("float8")
def round_rows(x: Tensor, rms: tuple[Tensor, bool] | None = None) -> tuple[Tensor, Tensor]:
    """x, or its norm, as e4m3 [..., D] and the scale of each row, float32 [..., 1]; rms: what `rms_norm`
    takes beside x.
    """
    wide = (x if rms is None else rms_norm(x, *rms)).float()
    scale = wide.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (wide / scale).to(E4M3), scale


class Float8Linear(AnyLinear):
    """Weights as e4m3; activations are rounded likewise.

    Such products take half the time of bfloat16 where there are many rows. int8 weights are more exact.
    """

    stored = E4M3

    @staticmethod
    def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `AnyLinear.quantised`."""
        rows, scale = round_rows.plain(weight)
        return rows, scale[:, 0]

    def forward(self, x: Tensor, norm: Norm | None = None, onto: Tensor | None = None) -> Tensor:
        """As `AnyLinear.forward`."""
        assert self.weight_scb is not None
        x, rms = normed(x, norm)
        y = scaled_product(*round_rows(x, rms), self.weight, self.weight_scb, self.bias, x.dtype)
        return y if onto is None else onto + y

    def gated(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        """As `AnyLinear.gated`."""
        return silu_gate(self(x, norm))


def scaled_product(
    rows: Tensor, scales: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """[..., out] in `dtype` of what `round_rows` gave for x and for the weight, scale float32 [out]."""
    if not (rows.is_cuda or rows.is_meta) or any(size % 16 for size in weight.shape):
        return linear((rows.float() * scales).to(dtype), (weight.float() * scale[:, None]).to(dtype), bias)
    # With a scale for each row this comes in bfloat16 alone.
    y = torch._scaled_mm(
        rows.view(-1, rows.shape[-1]),
        weight.T,
        scale_a=scales.view(-1, 1),
        scale_b=scale[None],
        bias=None if bias is None else bias.bfloat16(),
        out_dtype=torch.bfloat16,
    )
    return y.view(*rows.shape[:-1], weight.shape[0]).to(dtype)


def runs_float8(device: torch.device) -> bool:
    """Whether `device` multiplies e4m3: a GPU of compute capability 8.9, or a CPU, which only imitates it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 9)
    return device.type in ("cpu", "meta")
