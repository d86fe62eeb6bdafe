"""Vectors of tokens: looked up, and summed over channels."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch

_BLOCK = 512


def look_up(tokens: Tensor, table: Tensor, onto: Tensor | None = None) -> Tensor:
    """As `engine.models.embedding.look_up`."""
    width = table.shape[1]
    y = torch.empty((*tokens.shape, width), device=table.device, dtype=table.dtype)
    under = None if onto is None else onto.reshape(-1, width)
    launch(
        _look_up,
        (tokens.numel(), triton.cdiv(width, _BLOCK)),
        tokens.contiguous(),
        table,
        under,
        0 if under is None else under.stride(0),
        y,
        WIDTH=width,
        BLOCK=_BLOCK,
    )
    return y


def sum_up(tokens: Tensor, tables: Tensor, text_table: Tensor) -> Tensor:
    """As `engine.models.embedding.sum_up`, rounded after each channel as well."""
    batch, _, positions = tokens.shape
    channels, entries, width = tables.shape
    y = torch.empty(batch, positions, width, device=tables.device, dtype=tables.dtype)
    launch(
        _sum_up,
        (batch * positions, triton.cdiv(width, _BLOCK)),
        tokens.contiguous(),
        tables,
        text_table,
        y,
        positions,
        CHANNELS=channels,
        ENTRIES=entries,
        WIDTH=width,
        BLOCK=_BLOCK,
    )
    return y


@triton.jit
def _look_up(tokens, table, onto, onto_stride, y, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    x = _vector(table, tl.load(tokens + row), column, WIDTH)
    if onto is not None:
        x += tl.load(onto + row * onto_stride + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row * WIDTH + column, x.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _sum_up(
    tokens,
    tables,
    text_table,
    y,
    positions,
    CHANNELS: tl.constexpr,
    ENTRIES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    # Text comes first in a row's tokens [1 + CHANNELS, positions], and last in the sum.
    first = tokens + row // positions * (1 + CHANNELS) * positions + row % positions
    x = tl.zeros([BLOCK], tl.float32)
    for channel in tl.static_range(CHANNELS):
        token = tl.load(first + (1 + channel) * positions)
        vector = _vector(tables + channel * ENTRIES * WIDTH, token, column, WIDTH)
        x = (x + vector).to(y.dtype.element_ty).to(tl.float32)
    x += _vector(text_table, tl.load(first), column, WIDTH)
    tl.store(y + row * WIDTH + column, x.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _vector(table, token, column, WIDTH: tl.constexpr):
    """The vector of one token, in float32; zeros for token -1."""
    entry = table + tl.maximum(token, 0) * WIDTH
    vector = tl.load(entry + column, mask=column < WIDTH, other=0.0).to(tl.float32)
    return tl.where(token < 0, 0.0, vector)
