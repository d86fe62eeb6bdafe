"""A session's state lifted out of its slot: to go on later, in another slot, or more than once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.state.slot_state import SlotState

Done = Callable[[], bool]
"""Whether a copy is over. Until then nothing else may touch its slot and its snapshot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a slot held, in host memory: each tensor of its state without the slot, of rings only what was
    filled.
    """

    parts: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Its size."""
        return sum(part.nbytes for part in self.parts)


class Copier:
    """Copies slots out and in; on CUDA while the steps of other slots go on."""

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def snapshot(self, state: SlotState, slot: int) -> tuple[Snapshot, Done]:
        """Begins to copy `slot` out."""
        held = list(state.held(slot))
        # Pinned, for the device copies to no other memory by itself.
        pinned = self._stream is not None
        parts = tuple(torch.empty(part.shape, dtype=part.dtype, pin_memory=pinned) for part in held)
        return Snapshot(parts), self._copy(parts, held)

    @torch.inference_mode()
    def restore(self, state: SlotState, slot: int, snapshot: Snapshot) -> Done:
        """Begins to copy into `slot`, of a state with the same shapes but for the number of slots."""
        room = [
            _corner(tensor[slot], part) for tensor, part in zip(state.tensors(), snapshot.parts, strict=True)
        ]
        return self._copy(room, snapshot.parts)

    def _copy(self, to: list[Tensor] | tuple[Tensor, ...], source: list[Tensor] | tuple[Tensor, ...]) -> Done:
        if self._stream is None:
            for target, part in zip(to, source, strict=True):
                target.copy_(part)
            return lambda: True
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            for target, part in zip(to, source, strict=True):
                target.copy_(part, non_blocking=True)
            copied.record()
        done: Done = copied.query
        return done


def _corner(tensor: Tensor, part: Tensor) -> Tensor:
    """The first cells of `tensor`, as many as `part` has in each dimension."""
    for dim, size in enumerate(part.shape):
        tensor = tensor.narrow(dim, 0, size)
    return tensor
