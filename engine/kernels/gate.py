"""The gate of a feed-forward layer."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch

_BLOCK = 1024


def silu_gate(pair: Tensor) -> Tensor:
    """As `engine.models.linear.silu_gate`."""
    width = pair.shape[-1] // 2
    y = torch.empty((*pair.shape[:-1], width), device=pair.device, dtype=pair.dtype)
    grid = (y.numel() // width, triton.cdiv(width, _BLOCK))
    launch(_silu_gate, grid, pair.contiguous(), y, WIDTH=width, BLOCK=_BLOCK)
    return y


@triton.jit
def _silu_gate(pair, y, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    gate = tl.load(pair + row * 2 * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(pair + row * 2 * WIDTH + WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    opened = (gate * tl.sigmoid(gate)).to(y.dtype.element_ty).to(tl.float32)
    tl.store(y + row * WIDTH + column, (opened * value).to(y.dtype.element_ty), mask=inside)
