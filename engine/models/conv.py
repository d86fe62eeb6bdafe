"""Causal convolutions that stream, on [B, T, C] (`StreamingConv1d`, `StreamingConvTranspose1d`).

Each is one matrix product: over windows of its input, or with an overlap-add after it. Fast at any stride,
and each row's result is its own.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kernels.fused import fused
from engine.models.linear import linear
from engine.state.tail import ReplicatedTail, Tail

# Products with fewer columns than a vector of the processor holds take four times as long as they should.
_ENOUGH_COLUMNS = 16


class Conv(nn.Module):
    """Kernel k, stride 1; zeros lie before the first position.

    g `neighbours` are computed at once, by one row of a product: weight [g * out, (k + g - 1) * in], tap by
    tap, bias [g * out].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, neighbours: int = 1) -> None:
        super().__init__()
        self.inputs, self.outputs, self.kernel, self.neighbours = inputs, outputs, kernel, neighbours
        window = (kernel + neighbours - 1) * inputs
        self.weight = nn.Parameter(torch.empty(neighbours * outputs, window), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(neighbours * outputs), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """The input's last k - 1 positions, for `slots` sessions."""
        return Tail(slots, self.kernel - 1, self.inputs, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor, elu: bool = False) -> Tensor:
        """[B, T, out] of x [B, T, in], or of ELU(x); T a multiple of g."""
        windows = conv_windows(x, tail.values, slots, self.kernel, self.neighbours, elu)
        return linear(windows, self.weight, self.bias).view(*x.shape[:2], self.outputs)


def enough_neighbours(outputs: int) -> int:
    """How many neighbours, a power of two, make a product fast: 1 of 16 channels or more."""
    return 1 << (math.ceil(_ENOUGH_COLUMNS / outputs) - 1).bit_length()


class StridedConv(nn.Module):
    """Stride s, kernel 2 s; zeros lie before the first position.

    Weight [2 * out, s * in]: what s positions give to the output that ends with them, then to the next one;
    bias [2 * out], zeros in its second half.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        self.weight = nn.Parameter(torch.empty(2 * outputs, stride * inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(2 * outputs), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """What the last s positions give to the next output, for `slots` sessions."""
        return Tail(slots, 1, self.outputs, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """[B, T / s, out]. x: [B, T, in], T a multiple of s."""
        steps = x.view(len(x), -1, self.stride * self.inputs)
        return overlap_add(linear(steps, self.weight, self.bias), tail.values, slots)


class ConvTranspose(nn.Module):
    """Stride s, kernel 2 s, cut on the right.

    Weight [2 * s * out, in], tap by tap: a position's own s outputs, then what it adds to the next s; bias
    [2 * s * out], zeros in its second half.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        self.weight = nn.Parameter(torch.empty(2 * stride * outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(2 * stride * outputs), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """What the last position adds to the next s outputs, for `slots` sessions."""
        return Tail(slots, 1, self.stride * self.outputs, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """[B, T * s, out]. x: [B, T, in]."""
        y = overlap_add(linear(x, self.weight, self.bias), tail.values, slots)
        return y.view(len(x), -1, self.outputs)


class PointConv(nn.Module):
    """Kernel 1: no state. Weight [out, in]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """ELU of what the convolution of ELU(x) adds to `onto`: [B, T, out]. x: [B, T, in]."""
        return elu_point_conv(x, self.weight, self.bias, onto)


class Downsample(nn.Module):
    """Stride s, kernel 2 s, no bias; the first position lies before itself as well (`ConvDownsample1d`).
    Weight [C, 2 * s * C], tap by tap.
    """

    def __init__(self, dim: int, stride: int) -> None:
        super().__init__()
        self.dim, self.stride = dim, stride
        self.weight = nn.Parameter(torch.empty(dim, 2 * stride * dim), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> ReplicatedTail:
        """The last s positions, for `slots` sessions."""
        return ReplicatedTail(slots, self.stride, self.dim, device)

    def forward(self, x: Tensor, tail: ReplicatedTail, slots: Tensor) -> Tensor:
        """[B, 1, C] for the s new positions. x: [B, s, C]."""
        return linear(downsample_window(x, tail.values, tail.fresh, slots), self.weight)


class Upsample(nn.Module):
    """Stride s, kernel 2 s, each channel for itself, no bias (`ConvTrUpsample1d`). Weight [2 * s, C]."""

    def __init__(self, dim: int, stride: int) -> None:
        super().__init__()
        self.dim, self.stride = dim, stride
        self.weight = nn.Parameter(torch.empty(2 * stride, dim), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """What the last position adds to the next s outputs, for `slots` sessions."""
        return Tail(slots, self.stride, self.dim, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """[B, s, C] for the one new position. x: [B, 1, C]."""
        return upsample(x, self.weight, tail.values, slots)


@fused("conv_windows")
def conv_windows(x: Tensor, tail: Tensor, slots: Tensor, kernel: int, neighbours: int, elu: bool) -> Tensor:
    """What a product makes of x the outputs of a convolution: windows of x, or of ELU(x), behind each slot's
    tail, which becomes that of x.

    Returns float32 [B, T / g, (k + g - 1) * C], possibly a view of overlapping windows. x: [B, T, C]; tail:
    [S, k - 1, C], written in place; T a multiple of g, the `neighbours`.
    """
    batch, count, channels = x.shape
    x = torch.cat([tail.index_select(0, slots), F.elu(x) if elu else x], dim=1)
    tail.index_copy_(0, slots, x[:, count:])
    size = batch, count // neighbours, (kernel + neighbours - 1) * channels
    return x.as_strided(size, (x.stride(0), neighbours * channels, 1))


@fused("overlap_add")
def overlap_add(pairs: Tensor, tail: Tensor, slots: Tensor) -> Tensor:
    """Each position's first half plus the second half of the position before it, [B, T, W]; the first one's
    is each slot's tail, which the last one's becomes.

    pairs: [B, T, 2 W]; tail: [S, 1, W], written in place.
    """
    now, later = pairs.chunk(2, dim=-1)
    y = torch.empty_like(now, memory_format=torch.contiguous_format)
    torch.add(now[:, :1], tail.index_select(0, slots), out=y[:, :1])
    torch.add(now[:, 1:], later[:, :-1], out=y[:, 1:])
    tail.index_copy_(0, slots, later[:, -1:])
    return y


@fused("point_conv")
def elu_point_conv(x: Tensor, weight: Tensor, bias: Tensor, onto: Tensor) -> Tensor:
    """ELU(onto + ELU(x) @ weight.T + bias), [B, T, out]. x: [B, T, in]; onto: [B, T, out]."""
    y = linear(F.elu(x), weight, bias)
    return F.elu_(y.add_(onto))


@fused("resample")
def downsample_window(x: Tensor, tail: Tensor, fresh: Tensor, slots: Tensor) -> Tensor:
    """Each slot's tail, or in a fresh one the first position repeated, then x: [B, 1, 2 s * C].

    x: [B, s, C], which becomes the tail; tail [S, s, C] and fresh bool [S] are written in place.
    """
    first = fresh[slots][:, None, None]
    window = torch.cat([torch.where(first, x[:, :1], tail.index_select(0, slots)), x], dim=1)
    tail.index_copy_(0, slots, x)
    fresh.index_fill_(0, slots, False)
    return window.flatten(1)[:, None]


@fused("resample")
def upsample(x: Tensor, weight: Tensor, tail: Tensor, slots: Tensor) -> Tensor:
    """s positions, [B, s, C], of each slot's tail and what x adds at once; what it adds later becomes the
    tail.

    x: [B, 1, C]; weight: [2 s, C]; tail: [S, s, C], written in place.
    """
    now, later = (x * weight).chunk(2, dim=1)
    y = now + tail.index_select(0, slots)
    tail.index_copy_(0, slots, later)
    return y
