"""Residual vector quantisation around the matrix product that gives the distances."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.kernels.launch import launch


def search_row(residual: Tensor) -> Tensor:
    """As `engine.models.rvq.search_row`."""
    batch, dim = residual.shape
    row = torch.empty(batch, dim + 2, device=residual.device)
    launch(_search_row, (batch,), residual.contiguous(), row, DIM=dim, BLOCK_DIM=triton.next_power_of_2(dim))
    return row


def nearest(distances: Tensor, searched: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """As `engine.models.rvq.nearest`."""
    batch, bins = distances.shape
    dim = searched.shape[1] - 2
    code = torch.empty(batch, device=distances.device, dtype=torch.int64)
    left = torch.empty_like(searched)
    launch(
        _nearest,
        (batch,),
        distances,
        searched,
        table,
        code,
        left,
        BINS=bins,
        DIM=dim,
        BLOCK_BINS=triton.next_power_of_2(bins),
        BLOCK_DIM=triton.next_power_of_2(dim),
    )
    return code, left


def sum_of_centroids(codes: Tensor, tables: Tensor) -> Tensor:
    """As `engine.models.rvq.sum_of_centroids`."""
    batch, codebooks = codes.shape
    _, bins, width = tables.shape
    y = torch.empty(batch, width - 2, device=tables.device)
    launch(
        _sum_of_centroids,
        (batch,),
        codes,
        codes.stride(0),
        codes.stride(1),
        tables,
        y,
        CODEBOOKS=codebooks,
        BINS=bins,
        DIM=width - 2,
        BLOCK_DIM=triton.next_power_of_2(width - 2),
    )
    return y


@triton.jit
def _search_row(residual, rows, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK_DIM)
    r = tl.load(residual + row * DIM + column, mask=column < DIM, other=0.0)
    _store_search_row(rows + row * (DIM + 2), r, column, DIM)


@triton.jit
def _nearest(
    distances,
    searched,
    table,
    codes,
    left,
    BINS: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_BINS: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    entry = tl.arange(0, BLOCK_BINS)
    squares = tl.load(distances + row * BINS + entry, mask=entry < BINS, other=float("inf"))
    closest = tl.argmin(tl.sqrt_rn(tl.maximum(squares, 0.0)), axis=0)
    # Of a row that is not a number, too, a code must be one of the table's.
    code = tl.minimum(closest, BINS - 1).to(tl.int64)
    tl.store(codes + row, code)
    column = tl.arange(0, BLOCK_DIM)
    inside = column < DIM
    r = tl.load(searched + row * (DIM + 2) + column, mask=inside, other=0.0) * -0.5
    r -= tl.load(table + code * (DIM + 2) + column, mask=inside, other=0.0)
    _store_search_row(left + row * (DIM + 2), r, column, DIM)


@triton.jit
def _store_search_row(row, r, column, DIM: tl.constexpr):
    tl.store(row + column, r * -2, mask=column < DIM)
    tl.store(row + DIM, tl.sum(r * r, axis=0))
    tl.store(row + DIM + 1, 1.0)


@triton.jit
def _sum_of_centroids(
    codes,
    code_row,
    code_column,
    tables,
    y,
    CODEBOOKS: tl.constexpr,
    BINS: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK_DIM)
    inside = column < DIM
    x = tl.zeros([BLOCK_DIM], tl.float32)
    for book in tl.static_range(CODEBOOKS):
        code = tl.load(codes + row * code_row + book * code_column)
        x += tl.load(tables + (book * BINS + code) * (DIM + 2) + column, mask=inside, other=0.0)
    tl.store(y + row * DIM + column, x, mask=inside)
