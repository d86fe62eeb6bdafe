"""What a convolution keeps from one frame to the next."""

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.state.slot_state import SlotState, born_nan


class Tail(SlotState):
    """The last positions of a convolution's input, or of a transposed one's output: float32 [S, P, C]. Fresh:
    zeros.
    """

    def __init__(self, slots: int, positions: int, channels: int, device: torch.device) -> None:
        self.values = born_nan(slots, positions, channels, device=device, dtype=torch.float32)

    def reset(self, slots: Tensor) -> None:
        """As before the first sample."""
        self.values.index_fill_(0, slots, 0.0)

    def tensors(self) -> Iterator[Tensor]:
        """`values`."""
        yield self.values

    def read(self, slots: Tensor) -> Tensor:
        """A copy [B, P, C]."""
        return self.values.index_select(0, slots)

    def write(self, slots: Tensor, values: Tensor) -> None:
        """Keeps values [B, P, C]."""
        self.values.index_copy_(0, slots, values)


class ReplicatedTail(SlotState):
    """A tail that a fresh session fills with its own first position: float32 [S, P, C] and whether it is
    fresh [S].
    """

    def __init__(self, slots: int, positions: int, channels: int, device: torch.device) -> None:
        self.values = born_nan(slots, positions, channels, device=device, dtype=torch.float32)
        self.fresh = torch.ones(slots, device=device, dtype=torch.bool)

    def reset(self, slots: Tensor) -> None:
        """As before the first sample."""
        self.fresh.index_fill_(0, slots, True)

    def tensors(self) -> Iterator[Tensor]:
        """`values` and `fresh`."""
        yield self.values
        yield self.fresh

    def read(self, slots: Tensor, first: Tensor) -> Tensor:
        """A copy [B, P, C]; for fresh slots `first` [B, 1, C], repeated."""
        return torch.where(self.fresh[slots][:, None, None], first, self.values.index_select(0, slots))

    def write(self, slots: Tensor, values: Tensor) -> None:
        """Keeps values [B, P, C]; the slots are fresh no more."""
        self.values.index_copy_(0, slots, values)
        self.fresh.index_fill_(0, slots, False)
