"""What waits for the step thread: sessions that join or move, and complete frames. The only lock between
threads.
"""

from collections import deque
from dataclasses import dataclass, field
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import Frame, Sampling, SlotRef
from engine.step.moves import Move, Restore

# About as long on a GPU as a step, so that nobody's frame waits longer for a prefix than for another frame.
_POSITIONS = 256


@dataclass(frozen=True, slots=True)
class Join:
    """A session that takes a slot over: its state is reset and primed before its first frame.

    With a prefix, int64 [K, T] with T at least 1, the tokens of all channels by time, it begins with those
    instead.
    """

    slot: SlotRef
    sampling: Sampling
    prefix: NDArray[np.int64] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Prefill:
    """Some of the positions of a joining session's prefix."""

    join: Join
    positions: range


Work = list[Join] | Prefill | Move | list[Frame]


class ReadyQueue:
    """Filled from the event loop, emptied by the step thread.

    There is no tick and no lingering: `take` answers as soon as anything is ready, with all that is ready
    then.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._joins: list[Join] = []
        self._prefills: deque[Prefill] = deque()
        self._moves: deque[Move] = deque()
        self._moving: Move | None = None
        self._frames: deque[Frame] = deque()
        self._closed = False
        self._joined_last = False

    def join(self, join: Join) -> None:
        """A session that will send frames; call it before the first of them.

        A prefix is run in parts, with steps of others in between.
        """
        with self._changed:
            if join.prefix is None:
                self._joins.append(join)
            else:
                end = join.prefix.shape[1]
                starts = range(0, end, _POSITIONS)
                self._prefills += [Prefill(join, range(at, min(at + _POSITIONS, end))) for at in starts]
            self._changed.notify()

    def move(self, move: Move) -> None:
        """A session that leaves its slot before another joins there, or comes back before its next frame.

        Moves are made one after the other, in this order.
        """
        with self._changed:
            self._moves.append(move)
            self._changed.notify()

    def moved(self) -> None:
        """The move that was taken is over; called on the step thread."""
        with self._changed:
            self._moving = None

    def put(self, frame: Frame) -> None:
        """A complete frame; a session's frames come in their order."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify()

    def forget_frames(self, slot: SlotRef) -> None:
        """Whatever waits of a session's sound: nobody is there any more who would hear the answer."""
        with self._changed:
            self._frames = deque(frame for frame in self._frames if frame.slot != slot)
            self._changed.notify()

    def leave(self, slot: SlotRef) -> None:
        """Forget what waits of a session that has ended, or of one in host memory that was to come back."""
        with self._changed:
            self._joins = [join for join in self._joins if join.slot != slot]
            self._prefills = deque(part for part in self._prefills if part.join.slot != slot)
            self._moves = deque(move for move in self._moves if move.slot != slot)
            self._frames = deque(frame for frame in self._frames if frame.slot != slot)
            self._changed.notify()

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, wait_s: float | None = None) -> Work | None:
        """Wait for work: sessions that join or move, or the oldest frame of each session, oldest first.

        Joins and moves go first, but never twice in a row while frames wait: whoever opens sessions all the
        time takes half of the steps, not all. [] when nothing has come for `wait_s` seconds, None once the
        queue is closed.
        """
        with self._changed:
            while not self._closed:
                if work := self._next():
                    return work
                if not self._changed.wait(wait_s):
                    return []
            return None

    def _next(self) -> Work | None:
        """What is ready."""
        arriving = self._next_arrival()
        frames = self._take_frames() if self._joined_last or arriving is None else []
        if arriving is None and not frames:
            return None
        self._joined_last = not frames
        if frames or arriving is None:
            return frames
        if isinstance(arriving, list):
            self._joins = [join for join in self._joins if join not in arriving]
        elif isinstance(arriving, Prefill):
            self._prefills.remove(arriving)
        else:
            self._moving = self._moves.popleft()
        return arriving

    def _next_arrival(self) -> list[Join] | Prefill | Move | None:
        """Joins before prefixes before moves, each as soon as the slot's last session has been copied out."""
        joins = [join for join in self._joins if not self._has_to_wait(join.slot)]
        if joins:
            return joins
        for part in self._prefills:
            if not self._has_to_wait(part.join.slot):
                return part
        if self._moves and self._moving is None and self._can_move(self._moves[0]):
            return self._moves[0]
        return None

    def _has_to_wait(self, slot: SlotRef) -> bool:
        """Whether an earlier session of the same slot is still to be copied, or is being copied."""
        return any(move.slot.index == slot.index and move.slot != slot for move in self._pending_moves())

    def _can_move(self, move: Move) -> bool:
        """A session is copied out when nothing of it waits for a step any more."""
        if isinstance(move, Restore):
            return True
        return move.slot not in self._joining() and all(frame.slot != move.slot for frame in self._frames)

    def _pending_moves(self) -> list[Move]:
        return [*self._moves, *([self._moving] if self._moving else [])]

    def _joining(self) -> set[SlotRef]:
        return {join.slot for join in (*self._joins, *(part.join for part in self._prefills))}

    def _take_frames(self) -> list[Frame]:
        not_yet = self._joining() | {move.slot for move in self._pending_moves() if isinstance(move, Restore)}
        first: dict[SlotRef, Frame] = {}
        later: deque[Frame] = deque()
        for frame in self._frames:
            if frame.slot in first or frame.slot in not_yet:
                later.append(frame)
            else:
                first[frame.slot] = frame
        self._frames = later
        return list(first.values())
