"""Sessions that give their slot up for a while: what is asked of the step thread, and what it makes of it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.step.frames import SlotRef

if TYPE_CHECKING:
    from engine.state.snapshot import Done, Snapshot

log = logging.getLogger(__name__)

_POLL_S = 0.001


class HostCopy:
    """A session's state in host memory, None until the step thread has made it."""

    def __init__(self, snapshot: "Snapshot | None" = None) -> None:
        self.snapshot = snapshot


@dataclass(frozen=True, slots=True)
class Lift:
    """Copy the session in `slot` out, once its last frame is answered; after that the slot is another's."""

    slot: SlotRef
    copy: HostCopy


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the session in `slot` out once its last frame is answered. It stays there."""

    slot: SlotRef
    copy: HostCopy


@dataclass(frozen=True, slots=True)
class Restore:
    """Copy a session into `slot`, before its next frame."""

    slot: SlotRef
    copy: HostCopy


@dataclass(frozen=True, slots=True)
class Keep:
    """Copy what a session's prefix has left in `slot`, all but its last position: others begin with it."""

    slot: SlotRef
    copy: HostCopy


@dataclass(frozen=True, slots=True)
class Recall:
    """Copy what another session's same prefix had left there into `slot`, in place of running it again."""

    slot: SlotRef
    copy: HostCopy


Move = Lift | Copy | Restore | Keep | Recall


class Copying(Protocol):
    """What copies slots, beside the steps of others (`EagerRunner`)."""

    def snapshot(self, slot: int) -> "tuple[Snapshot, Done]":
        """Begin to copy out what the session in `slot` leaves behind."""

    def restore(self, slot: int, snapshot: "Snapshot") -> "Done":
        """Begin to copy a session into `slot`."""


class Mover:
    """The one copy that is on its way. Used on the step thread alone.

    over: gets each move when it has ended, and whether the session is where it should be.
    """

    def __init__(self, runner: Copying, over: Callable[[Move, bool], None]) -> None:
        self._runner = runner
        self._over = over
        self._move: Move | None = None
        self._done: Done = lambda: True

    @property
    def wait_s(self) -> float | None:
        """How soon to `poll` again; None: nothing is on its way."""
        return None if self._move is None else _POLL_S

    def begin(self, move: Move) -> None:
        """Start a copy; the one before is over."""
        self._move = move
        with self._costing_one_session(move):
            self._done = self._start(move)

    def poll(self) -> None:
        """Go on with the copy; see whether it is over."""
        if self._move is not None:
            with self._costing_one_session(self._move):
                if self._done():
                    self._end(self._move, arrived=True)

    @contextmanager
    def _costing_one_session(self, move: Move) -> Iterator[None]:
        """Host memory has ended, or a snapshot does not fit: no reason for the engine to fail."""
        try:
            yield
        except (MemoryError, RuntimeError, ValueError):
            log.exception("a session could not be moved")
            self._end(move, arrived=False)

    def _start(self, move: Move) -> "Done":
        if isinstance(move, Lift | Copy | Keep):
            move.copy.snapshot, done = self._runner.snapshot(move.slot.index)
            return done
        if move.copy.snapshot is None:
            raise RuntimeError("there is no copy of this session")
        return self._runner.restore(move.slot.index, move.copy.snapshot)

    def _end(self, move: Move, *, arrived: bool) -> None:
        self._move = None
        self._over(move, arrived)
