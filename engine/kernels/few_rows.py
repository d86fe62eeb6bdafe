"""Products as fast as their weights can be read: of few rows, or with 8-bit weights.

A tile of the weights times all rows of x is one step of a loop whose next tiles are already on their way; the
rows fill up to what tensor cores take. What comes before and after (norm, scales, bias, gate, residual)
happens in registers. No sum depends on which program comes first.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.gate import silu_gate
from engine.kernels.launch import INTERPRETED, dot, launch
from engine.kernels.norm import epsilon, rms_norm

# Up to here reading the weights is all that takes time, and a norm comes along for nothing.
_FEW = 16
# The multiprocessors of an H100, and what each must have on its way from memory to keep the bus busy.
_PROCESSORS = 132
_IN_FLIGHT = 2**16
# Shared memory of an H100 that one program can have, and what Triton wants of it for itself.
_SHARED = 227 * 2**10
_SCRATCH = 11 * 2**10
# A program with less than that to read is through before a second kernel has added up its parts.
_WORTH_SPLITTING = 2**17


def product(
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    rms: tuple[Tensor, bool] | None = None,
    onto: Tensor | None = None,
) -> Tensor:
    """As `engine.models.linear.product`; may write over `onto`."""
    if _ours(x, scale):
        return streamed(x, weight, scale, bias, rms, onto)
    x = x if rms is None else rms_norm(x, *rms)
    if onto is None:
        return F.linear(x, weight, bias)
    if bias is not None:
        return onto.add_(F.linear(x, weight, bias))
    onto = onto.contiguous()
    onto.view(-1, weight.shape[0]).addmm_(x.reshape(-1, x.shape[-1]), weight.T)
    return onto


def gated_product(
    x: Tensor, weight: Tensor, scale: Tensor | None = None, rms: tuple[Tensor, bool] | None = None
) -> Tensor:
    """As `engine.models.linear.gated_product`."""
    if _ours(x, scale):
        return streamed(x, weight, scale, rms=rms, gated=True)
    return silu_gate(F.linear(x if rms is None else rms_norm(x, *rms), weight))


def _ours(x: Tensor, scale: Tensor | None) -> bool:
    """Whether the kernel below is the better one: float32 weights are small ones, and cuBLAS does as well."""
    return scale is not None or (x.numel() <= _FEW * x.shape[-1] and x.dtype != torch.float32)


def streamed(
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    rms: tuple[Tensor, bool] | None = None,
    onto: Tensor | None = None,
    gated: bool = False,
) -> Tensor:
    """Either of the two products by the kernel of this file, for any number of rows."""
    inputs = x.shape[-1]
    rows = x.numel() // inputs
    outputs = weight.shape[0] // (2 if gated else 1)
    itemsizes = weight.element_size(), x.element_size()
    tiling = Tiling.of(rows, outputs, inputs, *itemsizes, gated, _shared_memory(x.device))
    if rms is not None and (rows > _FEW or tiling.splits > 1):
        x, rms = rms_norm(x, *rms), None
    x = x.contiguous()
    onto = None if onto is None else onto.contiguous()
    y = torch.empty((*x.shape[:-1], outputs), device=x.device, dtype=x.dtype)
    gain, f32 = rms or (None, False)
    sizes = {"N": outputs, "GATED": gated, "ROWS": tiling.rows, "BLOCK_N": tiling.outputs}
    sums = y
    if tiling.splits > 1:
        sums = torch.empty((tiling.splits, rows, weight.shape[0]), device=x.device, dtype=torch.float32)
    launch(
        _product,
        (triton.cdiv(outputs, tiling.outputs), triton.cdiv(rows, tiling.rows), tiling.splits),
        *(x, weight, sums, gain, scale, bias, onto, rows),
        warps=tiling.warps,
        stages=tiling.stages,
        **sizes,
        K=inputs,
        SPAN=tiling.span,
        EPSILON=epsilon(f32),
        BLOCK_K=tiling.inputs,
        WHOLE=tiling.splits == 1,
    )
    if tiling.splits > 1:
        grid = (triton.cdiv(outputs, tiling.outputs), triton.cdiv(rows, tiling.rows))
        launch(_add_up, grid, sums, y, scale, bias, onto, rows, warps=8, **sizes, SPLITS=tiling.splits)
    return y


def _shared_memory(device: torch.device) -> int:
    """Of `device`, for one program, in bytes; of an H100 where there is no GPU."""
    if device.type != "cuda":
        return _SHARED
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is cut: `rows`, `outputs` and `inputs` of a tile, `splits` parts of `span` inputs.

    `stages`: tiles that are on their way at once.
    """

    rows: int
    outputs: int
    inputs: int
    splits: int
    span: int
    warps: int
    stages: int

    @classmethod
    def of(
        cls,
        rows: int,
        outputs: int,
        inputs: int,
        itemsize: int,
        activation: int,
        gated: bool,
        shared: int = _SHARED,
    ) -> "Tiling":
        """A fixed rule, by what an H100 needs. In bytes: a weight is `itemsize`, an element of x
        `activation`, and a program can have `shared`.
        """
        tile_rows = min(128, max(8, triton.next_power_of_2(rows)))
        matrices = 2 if gated else 1
        if rows > _FEW:
            # Rows come from the cache once for each program: broad tiles, so that there are few of those.
            broad = 64 if gated else 128
            tile_outputs, tile_inputs = 32 if outputs < 4096 else broad, 256 // max(2, itemsize)
        elif outputs < 4096:
            tile_outputs, tile_inputs = 16, 512 // max(2, itemsize)
        else:
            tile_outputs, tile_inputs = 32, 256 // itemsize
        programs = triton.cdiv(outputs, tile_outputs) * triton.cdiv(rows, tile_rows)
        read, splits = tile_outputs * matrices * inputs * itemsize, 1
        while 2 * splits * programs <= _PROCESSORS and read >= 2 * splits * _WORTH_SPLITTING:
            splits *= 2
        span = triton.cdiv(inputs, splits * tile_inputs) * tile_inputs
        # Those that share a multiprocessor share its memory, and what is on its way.
        sharing = 1 if tile_rows > 32 else min(4, triton.cdiv(programs * splits, _PROCESSORS))
        tile = tile_outputs * matrices * tile_inputs * itemsize
        both = tile + tile_rows * tile_inputs * activation
        # One of them is being multiplied, another one being given up.
        wanted = 2 + triton.cdiv(_IN_FLIGHT, sharing * tile)
        stages = max(2, min(wanted, (shared - _SCRATCH) // (sharing * both), 1 + span // tile_inputs))
        warps = 8 if tile_rows * tile_outputs * matrices >= 2**14 else 4
        return cls(tile_rows, tile_outputs, tile_inputs, splits, span, warps, stages)


@triton.jit
def _product(
    x,
    weight,
    y,
    gain,
    scale,
    bias,
    onto,
    rows,
    N: tl.constexpr,
    K: tl.constexpr,
    SPAN: tl.constexpr,
    EPSILON: tl.constexpr,
    GATED: tl.constexpr,
    WHOLE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    # Outputs run along the tile's first side, which tensor cores want the longer one.
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(2)
    power = tl.zeros([ROWS], tl.float32)
    first = tl.zeros([BLOCK_N, ROWS], tl.float32)
    second = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for start in range(0, SPAN, BLOCK_K):
        k = part * SPAN + start + tl.arange(0, BLOCK_K)
        there = (row < rows)[None, :] & (k < K)[:, None]
        columns = tl.load(x + row[None, :] * K + k[:, None], mask=there, other=0.0)
        if gain is not None:
            # One factor a row remains, which the sums can have as well.
            wide = columns.to(tl.float32)
            power += tl.sum(wide * wide, axis=0)
            gains = tl.load(gain + k, mask=k < K, other=0.0).to(tl.float32)
            columns = (wide * gains[:, None]).to(x.dtype.element_ty)
        inside = (n < N)[:, None] & (k < K)[None, :]
        tile = tl.load(weight + n[:, None] * K + k[None, :], mask=inside, other=0)
        first = dot(_widened(tile, columns.dtype), columns, first, "ieee")
        if GATED:
            tile = tl.load(weight + (N + n)[:, None] * K + k[None, :], mask=inside, other=0)
            second = dot(_widened(tile, columns.dtype), columns, second, "ieee")
    if gain is not None:
        factor = tl.rsqrt(power / K + EPSILON)[None, :]
        first *= factor
        second *= factor
    if WHOLE:
        _finish(first, second, y, scale, bias, onto, n, row, rows, N, GATED)
    else:
        WIDTH: tl.constexpr = 2 * N if GATED else N
        here = (row < rows)[None, :] & (n < N)[:, None]
        place = (row.to(tl.int64) + part * rows)[None, :] * WIDTH + n[:, None]
        tl.store(y + place, first, mask=here)
        if GATED:
            tl.store(y + place + N, second, mask=here)


@triton.jit
def _widened(tile, KIND: tl.constexpr):
    if INTERPRETED:
        # It makes no bfloat16 of integers.
        tile = tile.to(tl.float32)
    return tile.to(KIND)


@triton.jit
def _add_up(
    sums,
    y,
    scale,
    bias,
    onto,
    rows,
    N: tl.constexpr,
    GATED: tl.constexpr,
    SPLITS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    WIDTH: tl.constexpr = 2 * N if GATED else N
    here = (row < rows)[None, :] & (n < N)[:, None]
    first = tl.zeros([BLOCK_N, ROWS], tl.float32)
    second = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for part in range(SPLITS):
        place = (row.to(tl.int64) + part * rows)[None, :] * WIDTH + n[:, None]
        first += tl.load(sums + place, mask=here, other=0.0)
        if GATED:
            second += tl.load(sums + place + N, mask=here, other=0.0)
    _finish(first, second, y, scale, bias, onto, n, row, rows, N, GATED)


@triton.jit
def _finish(first, second, y, scale, bias, onto, n, row, rows, N: tl.constexpr, GATED: tl.constexpr):
    """What follows the sums, rounded wherever a product that stands alone would be."""
    if scale is not None:
        first *= tl.load(scale + n, mask=n < N, other=0.0)[:, None] / 127
    if bias is not None:
        first += tl.load(bias + n, mask=n < N, other=0.0).to(tl.float32)[:, None]
    first = first.to(y.dtype.element_ty).to(tl.float32)
    if GATED:
        if scale is not None:
            second *= tl.load(scale + N + n, mask=n < N, other=0.0)[:, None] / 127
        second = second.to(y.dtype.element_ty).to(tl.float32)
        first = (first * tl.sigmoid(first)).to(y.dtype.element_ty).to(tl.float32) * second
    here = (row < rows)[None, :] & (n < N)[:, None]
    place = row.to(tl.int64)[None, :] * N + n[:, None]
    if onto is not None:
        first += tl.load(onto + place, mask=here, other=0.0).to(tl.float32)
    tl.store(y + place, first.to(y.dtype.element_ty), mask=here)
