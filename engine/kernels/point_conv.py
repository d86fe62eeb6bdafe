"""The end of a residual block: ELU, a small product, bias, the input again, ELU."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.conv_windows import elu
from engine.kernels.launch import dot, launch


def elu_point_conv(x: Tensor, weight: Tensor, bias: Tensor, onto: Tensor) -> Tensor:
    """As `engine.models.conv.elu_point_conv`, in TF32 where that is allowed."""
    outputs, inputs = weight.shape
    x, onto = x.contiguous(), onto.contiguous()
    y = torch.empty_like(onto)
    rows = y.numel() // outputs
    block_columns = min(max(triton.next_power_of_2(outputs), 16), 32 if rows < 4096 else 64)
    block_inputs = min(max(triton.next_power_of_2(inputs), 16), 32)
    block = 16 if rows < 512 else 64
    tf32 = torch.backends.cuda.matmul.allow_tf32
    launch(
        _elu_point_conv, (triton.cdiv(rows, block), triton.cdiv(outputs, block_columns)),
        x, weight, bias, onto, y, rows, stages=2,
        INPUTS=inputs, OUTPUTS=outputs, PRECISION="tf32" if tf32 else "ieee",
        BLOCK=block, BLOCK_INPUTS=block_inputs, BLOCK_COLUMNS=block_columns,
    )  # fmt: skip
    return y


@triton.jit
def _elu_point_conv(
    x, weight, bias, onto, y, rows,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_INPUTS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK))[:, None]
    column = (tl.program_id(1) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS))[None, :]
    total = tl.zeros([BLOCK, BLOCK_COLUMNS], tl.float32)
    for start in range(0, INPUTS, BLOCK_INPUTS):
        item = start + tl.arange(0, BLOCK_INPUTS)
        left = tl.load(
            x + row * INPUTS + item[None, :], mask=(row < rows) & (item < INPUTS)[None, :], other=0.0
        )
        right = tl.load(
            weight + column * INPUTS + item[:, None],
            mask=(column < OUTPUTS) & (item < INPUTS)[:, None],
            other=0.0,
        )
        total = dot(elu(left), right, total, PRECISION)
    inside = (row < rows) & (column < OUTPUTS)
    total += tl.load(bias + column, mask=column < OUTPUTS, other=0.0)
    total += tl.load(onto + row * OUTPUTS + column, mask=inside, other=0.0)
    tl.store(y + row * OUTPUTS + column, elu(total), mask=inside)
