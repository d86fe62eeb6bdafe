"""What every piece of per-session state can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


class SlotState(ABC):
    """Tensors with the slot first, written in place by the step that owns them."""

    @abstractmethod
    def reset(self, slots: Tensor) -> None:
        """Makes `slots` (int64 [B]) those of fresh sessions; touches no other."""

    @abstractmethod
    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, [S, ...]: together all that a session leaves behind."""

    def held(self, slot: int) -> Iterator[Tensor]:
        """Of each of `tensors` what the session in `slot` has written, as a view that starts at its first
        cells.
        """
        for tensor in self.tensors():
            yield tensor[slot]

    def check(self, held: Sequence[Tensor]) -> None:
        """Raises ValueError for values, one for each of `tensors`, with which a step would read what is not
        there, or what another session left. They come from somewhere else.
        """
        for part, tensor in zip(held, self.tensors(), strict=True):
            expect_shape(part, tensor.shape[1:])


class StateGroup(SlotState):
    """State made of parts, reset and walked together."""

    def __init__(self, parts: Sequence[SlotState]) -> None:
        self._parts = tuple(parts)

    def reset(self, slots: Tensor) -> None:
        """Resets every part."""
        for part in self._parts:
            part.reset(slots)

    def tensors(self) -> Iterator[Tensor]:
        """The parts' tensors, in order."""
        for part in self._parts:
            yield from part.tensors()

    def held(self, slot: int) -> Iterator[Tensor]:
        """What the parts hold, in order."""
        for part in self._parts:
            yield from part.held(slot)

    def check(self, held: Sequence[Tensor]) -> None:
        """Checks every part."""
        rest = iter(held)
        for part in self._parts:
            part.check([next(rest) for _ in part.tensors()])


def expect_shape(part: Tensor, shape: Sequence[int]) -> None:
    """Raises ValueError if it has another."""
    if list(part.shape) != list(shape):
        raise ValueError(f"a tensor {list(part.shape)} where {list(shape)} was expected")


def born_nan(*shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Floating memory that shows it when it is read before it is written."""
    return torch.full(shape, float("nan"), device=device, dtype=dtype)
