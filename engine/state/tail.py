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
