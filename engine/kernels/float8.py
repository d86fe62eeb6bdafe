"""Rows rounded to 8-bit floats."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import INTERPRETED, launch
from engine.kernels.norm import epsilon


def round_rows(x: Tensor, rms: tuple[Tensor, bool] | None = None) -> tuple[Tensor, Tensor]:
    """As `engine.models.float8.round_rows`."""
    width = x.shape[-1]
    y = torch.empty(x.shape, device=x.device, dtype=torch.float8_e4m3fn)
    scales = torch.empty((*x.shape[:-1], 1), device=x.device, dtype=torch.float32)
    gain, f32 = rms or (None, False)
    launch(
        _round_rows,
        (scales.numel(),),
        *(x.contiguous(), gain, y, scales),
        WIDTH=width,
        EPSILON=epsilon(f32),
        BLOCK=triton.next_power_of_2(width),
    )
    return y, scales


@triton.jit
def _round_rows(x, gain, y, scales, WIDTH: tl.constexpr, EPSILON: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    wide = tl.load(x + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    if gain is not None:
        factor = tl.rsqrt(tl.sum(wide * wide) / WIDTH + EPSILON)
        gains = tl.load(gain + column, mask=inside, other=0.0).to(tl.float32)
        # Rounded as a norm that stands alone would be.
        wide = (wide * (gains * factor)).to(x.dtype.element_ty).to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(wide)), 1e-12) / 448
    tl.store(scales + row, scale)
    tl.store(y + row * WIDTH + column, to_e4m3(wide / scale), mask=inside)


@triton.jit
def to_e4m3(value):
    """float32 of magnitude up to 448 to the nearest e4m3."""
    if INTERPRETED:
        # It loses the carry where that reaches the exponent, so nothing may be left to round.
        power = (value.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
        step = tl.maximum(power / 8, 1 / 512)
        value = (value / step + 12582912.0 - 12582912.0) * step
    return value.to(tl.float8e4nv)
