"""The convolutional halves of Mimi (`SEANetEncoder`, `SEANetDecoder`), on [B, T, C]."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.config import SeanetConfig
from engine.models.conv import Conv, ConvTranspose, PointConv, StridedConv, enough_neighbours
from engine.state.slot_state import StateGroup
from engine.state.tail import Tail


class SeanetState(StateGroup):
    """Tails of the convolutions, in the order in which sound passes them."""

    def __init__(self, tails: list[Tail]) -> None:
        super().__init__(tails)
        self.tails = tuple(tails)


class Residual(nn.Module):
    """Two convolutions after an ELU each, added to the input, and the ELU that always follows."""

    def __init__(self, config: SeanetConfig, channels: int) -> None:
        super().__init__()
        hidden = channels // config.compress
        self.wide = Conv(channels, hidden, config.residual_kernel_size, enough_neighbours(hidden))
        self.point = PointConv(hidden, channels)

    def forward(self, x: Tensor, tail: Tail, slots: Tensor) -> Tensor:
        """As x."""
        y: Tensor = self.point(self.wide(x, tail, slots, elu=True), onto=x)
        return y


class EncoderStage(nn.Module):
    """A residual block, then down by `ratio` to twice the channels."""

    def __init__(self, config: SeanetConfig, channels: int, ratio: int) -> None:
        super().__init__()
        self.residual = Residual(config, channels)
        self.down = StridedConv(channels, 2 * channels, ratio)

    def forward(self, x: Tensor, tails: Iterator[Tail], slots: Tensor) -> Tensor:
        """[B, T / ratio, 2 C]. Takes its convolutions' tails off `tails`."""
        x = self.residual(x, next(tails), slots)
        y: Tensor = self.down(x, next(tails), slots)
        return y


class DecoderStage(nn.Module):
    """Up by `ratio` to half the channels, then a residual block."""

    def __init__(self, config: SeanetConfig, channels: int, ratio: int) -> None:
        super().__init__()
        self.up = ConvTranspose(channels, channels // 2, ratio)
        self.residual = Residual(config, channels // 2)

    def forward(self, x: Tensor, tails: Iterator[Tail], slots: Tensor) -> Tensor:
        """[B, T * ratio, C / 2] of what an ELU has given. Takes its convolutions' tails off `tails`."""
        x = self.up(x, next(tails), slots)
        y: Tensor = self.residual(x, next(tails), slots)
        return y


class Seanet(nn.Module):
    """Either half: a convolution, stages, a convolution. An ELU lies before all but the first."""

    def __init__(self, first: Conv, stages: Iterable[nn.Module], last: Conv) -> None:
        super().__init__()
        # Registered in the order in which sound passes them, which is the order of the tails.
        self.first = first
        self.stages = nn.ModuleList(stages)
        self.last = last

    def new_state(self, slots: int, device: torch.device) -> SeanetState:
        """State for `slots` sessions."""
        convs = (part for part in self.modules() if isinstance(part, Conv | StridedConv | ConvTranspose))
        return SeanetState([conv.new_state(slots, device) for conv in convs])


class SeanetEncoder(Seanet):
    """Samples to positions, one for each `config.hop`."""

    def __init__(self, config: SeanetConfig) -> None:
        channels = config.n_filters
        first = Conv(1, channels, config.kernel_size, enough_neighbours(channels))
        stages = []
        for ratio in reversed(config.ratios):
            stages.append(EncoderStage(config, channels, ratio))
            channels *= 2
        super().__init__(first, stages, Conv(channels, config.dimension, config.last_kernel_size))

    def forward(self, x: Tensor, state: SeanetState, slots: Tensor) -> Tensor:
        """[B, N / hop, dimension] of samples [B, N, 1]."""
        tails = iter(state.tails)
        x = self.first(x, next(tails), slots)
        for stage in self.stages:
            x = stage(x, tails, slots)
        y: Tensor = self.last(x, next(tails), slots, elu=True)
        return y


class SeanetDecoder(Seanet):
    """Positions to samples, `config.hop` for each."""

    def __init__(self, config: SeanetConfig) -> None:
        channels = config.n_filters << len(config.ratios)
        first = Conv(config.dimension, channels, config.kernel_size)
        stages = []
        for ratio in config.ratios:
            stages.append(DecoderStage(config, channels, ratio))
            channels //= 2
        last = Conv(channels, 1, config.last_kernel_size, enough_neighbours(1))
        super().__init__(first, stages, last)

    def forward(self, x: Tensor, state: SeanetState, slots: Tensor) -> Tensor:
        """Samples [B, T * hop, 1] of positions [B, T, dimension]."""
        tails = iter(state.tails)
        x = F.elu(self.first(x, next(tails), slots))
        for stage in self.stages:
            x = stage(x, tails, slots)
        y: Tensor = self.last(x, next(tails), slots)
        return y
