"""The convolutional halves of Mimi (`SEANetEncoder`, `SEANetDecoder`), on [B, T, C]."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.config import SeanetConfig
from engine.models.conv import Conv, ConvTranspose, PointConv
from engine.state.slot_state import StateGroup
from engine.state.tail import Tail


class SeanetState(StateGroup):
    """Tails of the convolutions, in the order in which sound passes them."""

    def __init__(self, tails: list[Tail]) -> None:
        super().__init__(tails)
        self.tails = tuple(tails)


class Residual(nn.Module):
    """Two convolutions after an ELU each, added to the input."""

    def __init__(self, config: SeanetConfig, channels: int) -> None:
        super().__init__()
        hidden = channels // config.compress
        self.wide = Conv(channels, hidden, config.residual_kernel_size)
        self.point = PointConv(hidden, channels)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """As x."""
        y: Tensor = self.point(F.elu(self.wide(F.elu(x), tail, slots)))
        return y.add_(x)


class EncoderStage(nn.Module):
    """A residual block, then down by `ratio` to twice the channels."""

    def __init__(self, config: SeanetConfig, channels: int, ratio: int) -> None:
        super().__init__()
        self.residual = Residual(config, channels)
        self.down = Conv(channels, 2 * channels, 2 * ratio, ratio)

    def forward(self, x: Tensor, tails: Iterator[Tail], slots: Tensor) -> Tensor:
        """[B, T / ratio, 2 C]. Takes its convolutions' tails off `tails`."""
        x = self.residual(x, next(tails), slots)
        y: Tensor = self.down(F.elu(x), next(tails), slots)
        return y


class DecoderStage(nn.Module):
    """Up by `ratio` to half the channels, then a residual block."""

    def __init__(self, config: SeanetConfig, channels: int, ratio: int) -> None:
        super().__init__()
        self.up = ConvTranspose(channels, channels // 2, ratio)
        self.residual = Residual(config, channels // 2)

    def forward(self, x: Tensor, tails: Iterator[Tail], slots: Tensor) -> Tensor:
        """[B, T * ratio, C / 2]. Takes its convolutions' tails off `tails`."""
        x = self.up(F.elu(x), next(tails), slots)
        y: Tensor = self.residual(x, next(tails), slots)
        return y


class Seanet(nn.Module):
    """Either half: a convolution, stages, an ELU and a convolution."""

    def __init__(self, first: Conv, stages: Iterable[nn.Module], last: Conv) -> None:
        super().__init__()
        # Registered in the order in which sound passes them, which is the order of the tails.
        self.first = first
        self.stages = nn.ModuleList(stages)
        self.last = last

    def new_state(self, slots: int, device: torch.device) -> SeanetState:
        """State for `slots` sessions."""
        convs = (module for module in self.modules() if isinstance(module, Conv | ConvTranspose))
        return SeanetState([conv.new_state(slots, device) for conv in convs])

    def forward(self, x: Tensor, state: SeanetState, slots: Tensor) -> Tensor:
        """Encoder: samples [B, N, 1] to positions [B, N / hop, dimension]; decoder: the way back."""
        tails = iter(state.tails)
        x = self.first(x, next(tails), slots)
        for stage in self.stages:
            x = stage(x, tails, slots)
        y: Tensor = self.last(F.elu(x), next(tails), slots)
        return y


def seanet_encoder(config: SeanetConfig) -> Seanet:
    """Samples to positions, one for each `config.hop`."""
    channels = config.n_filters
    first = Conv(1, channels, config.kernel_size)
    stages = []
    for ratio in reversed(config.ratios):
        stages.append(EncoderStage(config, channels, ratio))
        channels *= 2
    return Seanet(first, stages, Conv(channels, config.dimension, config.last_kernel_size))


def seanet_decoder(config: SeanetConfig) -> Seanet:
    """Positions to samples, `config.hop` for each."""
    channels = config.n_filters << len(config.ratios)
    first = Conv(config.dimension, channels, config.kernel_size)
    stages = []
    for ratio in config.ratios:
        stages.append(DecoderStage(config, channels, ratio))
        channels //= 2
    return Seanet(first, stages, Conv(channels, 1, config.last_kernel_size))
