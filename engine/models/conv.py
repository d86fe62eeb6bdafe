"""Causal convolutions that stream, on [B, T, C] (`StreamingConv1d`, `StreamingConvTranspose1d`).

Each is one matrix product over windows of its input: fast at any stride, and each row's result is its own.
"""

import torch
from torch import Tensor, nn

from engine.models.linear import linear
from engine.state.tail import ReplicatedTail, Tail


class Conv(nn.Module):
    """Kernel k, stride s; zeros lie before the first position. Weight [out, k * in], tap by tap."""

    bias: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.inputs, self.outputs, self.kernel, self.stride = inputs, outputs, kernel, stride
        self.weight = nn.Parameter(torch.empty(outputs, kernel * inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if bias else None

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """The input's last k - s positions, for `slots` sessions."""
        return Tail(slots, self.kernel - self.stride, self.inputs, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """[B, T / s, out]. x: [B, T, in], T a multiple of s."""
        x = torch.cat([tail.read(slots), x], dim=1)
        tail.write(slots, x[:, self.stride - self.kernel :])
        return self.windows(x)

    def windows(self, x: Tensor) -> Tensor:
        """[B, (T - k) / s + 1, out] of x [B, T, in]: no padding."""
        batch, length, inputs = x.shape
        count = (length - self.kernel) // self.stride + 1
        window = x.as_strided(
            (batch, count, self.kernel * inputs), (length * inputs, self.stride * inputs, 1)
        )
        return linear(window, self.weight, self.bias)


class PointConv(nn.Module):
    """Kernel 1: no state. Weight [out, in]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, out]."""
        return linear(x, self.weight, self.bias)


class ConvTranspose(nn.Module):
    """Stride s, kernel 2 s, cut on the right. Weight [2 * s * out, in], tap by tap."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        self.weight = nn.Parameter(torch.empty(2 * stride * outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False)

    def new_state(self, slots: int, device: torch.device) -> Tail:
        """What the last position adds to the next s outputs, without bias, for `slots` sessions."""
        return Tail(slots, 1, self.stride * self.outputs, device)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """[B, T * s, out]. x: [B, T, in]."""
        batch, length, _ = x.shape
        now, later = linear(x, self.weight).chunk(2, dim=-1)
        y = now + torch.cat([tail.read(slots), later[:, :-1]], dim=1)
        tail.write(slots, later[:, -1:])
        return y.view(batch, length * self.stride, self.outputs) + self.bias


class Downsample(nn.Module):
    """Stride s, kernel 2 s, no bias; the first position lies before itself as well (`ConvDownsample1d`)."""

    def __init__(self, dim: int, stride: int) -> None:
        super().__init__()
        self.conv = Conv(dim, dim, 2 * stride, stride, bias=False)

    def new_state(self, slots: int, device: torch.device) -> ReplicatedTail:
        """The last s positions, for `slots` sessions."""
        return ReplicatedTail(slots, self.conv.stride, self.conv.inputs, device)

    def forward(self, x: Tensor, tail: ReplicatedTail, slots: Tensor) -> Tensor:
        """[B, T / s, C]. x: [B, T, C], T a multiple of s."""
        x = torch.cat([tail.read(slots, x[:, :1]), x], dim=1)
        tail.write(slots, x[:, -self.conv.stride :])
        return self.conv.windows(x)


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
        now, later = (x * self.weight).chunk(2, dim=1)
        y = now + tail.read(slots)
        tail.write(slots, later)
        return y
