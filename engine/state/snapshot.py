"""A session's state lifted out of its slot: to go on later, in another slot, or more than once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.state.slot_state import SlotState

Done = Callable[[], bool]
"""Copies a bit more, and tells whether the copy is over. Until then nothing else may touch its slot and its
snapshot."""

_AT_ONCE = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a slot held, in host memory: each tensor of its state without the slot, of rings only what was
    filled. Complete once its copy is over.
    """

    parts: Sequence[Tensor]

    @property
    def nbytes(self) -> int:
        """Its size."""
        return sum(part.nbytes for part in self.parts)


class Copier:
    """Copies slots out and in; on CUDA while the steps of other slots go on.

    In pieces of about 16 MiB: whoever steps has to wait for the memory of one, not of a whole session.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def snapshot(self, state: SlotState, slot: int) -> tuple[Snapshot, Done]:
        """Begins to copy `slot` out."""
        held, parts = list(state.held(slot)), list[Tensor]()
        # Pinned, for the device copies to no other memory by itself.
        pinned = self._stream is not None

        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            for part in held:
                parts.append(torch.empty(part.shape, dtype=part.dtype, pin_memory=pinned))
                yield parts[-1], part

        return Snapshot(parts), self._begin(pairs())

    @torch.inference_mode()
    def restore(self, state: SlotState, slot: int, snapshot: Snapshot) -> Done:
        """Begins to copy into `slot`, of a state with the same shapes but for the number of slots."""
        room = [
            _corner(tensor[slot], part) for tensor, part in zip(state.tensors(), snapshot.parts, strict=True)
        ]
        return self._begin(zip(room, snapshot.parts, strict=True))

    def _begin(self, pairs: Iterator[tuple[Tensor, Tensor]]) -> Done:
        transfer = _Transfer(self._stream, pairs)
        transfer()
        return transfer


class _Transfer:
    """A copy in pieces: each call begins the next one."""

    def __init__(self, stream: torch.cuda.Stream | None, pairs: Iterator[tuple[Tensor, Tensor]]) -> None:
        self._stream = stream
        self._pairs = pairs
        self._all_begun = False
        self._copied: torch.cuda.Event | None = None

    @torch.inference_mode()
    def __call__(self) -> bool:
        """Whether all of it is copied."""
        if not self._all_begun:
            self._next_piece()
        if self._copied is None:
            return self._all_begun
        return bool(self._copied.query())  # type: ignore[no-untyped-call]

    def _next_piece(self) -> None:
        if self._stream is None:
            self._all_begun = self._copy()
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            self._all_begun = self._copy()
            if self._all_begun:
                self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
                self._copied.record()

    def _copy(self) -> bool:
        """Begin to copy a piece; whether it was the last."""
        begun = 0
        for target, part in self._pairs:
            target.copy_(part, non_blocking=True)
            begun += part.nbytes
            if begun >= _AT_ONCE:
                return False
        return True


def _corner(tensor: Tensor, part: Tensor) -> Tensor:
    """The first cells of `tensor`, as many as `part` has in each dimension."""
    for dim, size in enumerate(part.shape):
        tensor = tensor.narrow(dim, 0, size)
    return tensor
