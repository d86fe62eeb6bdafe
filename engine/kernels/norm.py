"""Root-mean-square normalisation."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def epsilon(f32: bool) -> float:
    """What keeps the norm of silence finite: of the two kinds in `engine.models.norm`."""
    return 1e-8 if f32 else 1e-5


def rms_norm(x: Tensor, gain: Tensor, f32: bool) -> Tensor:
    """As `engine.models.norm.rms_norm`; in float32 either way."""
    y = torch.empty(x.shape, device=x.device, dtype=x.dtype)
    width = x.shape[-1]
    launch(
        _rms_norm,
        (x.numel() // width,),
        x.contiguous(),
        gain,
        y,
        WIDTH=width,
        EPSILON=epsilon(f32),
        BLOCK=triton.next_power_of_2(width),
    )
    return y


@triton.jit
def _rms_norm(x, gain, y, WIDTH: tl.constexpr, EPSILON: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    wide = tl.load(x + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    factor = tl.rsqrt(tl.sum(wide * wide) / WIDTH + EPSILON)
    gains = tl.load(gain + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row * WIDTH + column, (wide * (gains * factor)).to(y.dtype.element_ty), mask=inside)
