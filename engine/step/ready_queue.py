"""What waits for the step thread: sessions that join, and complete frames. The only lock between threads."""

from collections import deque
from dataclasses import dataclass, field
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import Frame, Sampling, SlotRef

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


class ReadyQueue:
    """Filled from the event loop, emptied by the step thread.

    There is no tick and no lingering: `take` answers as soon as anything is ready, with all that is ready
    then.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._joins: list[Join] = []
        self._prefills: deque[Prefill] = deque()
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

    def put(self, frame: Frame) -> None:
        """A complete frame; a session's frames come in their order."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify()

    def leave(self, slot: SlotRef) -> None:
        """Forget what waits of a session that has ended."""
        with self._changed:
            self._joins = [join for join in self._joins if join.slot != slot]
            self._prefills = deque(part for part in self._prefills if part.join.slot != slot)
            self._frames = deque(frame for frame in self._frames if frame.slot != slot)

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> list[Join] | Prefill | list[Frame] | None:
        """Wait for work: sessions that join, or the oldest frame of each session, oldest first.

        Joins go first, but never twice in a row while frames wait: whoever opens sessions all the time takes
        half of the steps, not all. None once the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._joins or self._prefills or self._frames)
            if self._closed:
                return None
            joining = self._joins or self._prefills
            frames = self._take_frames() if self._joined_last or not joining else []
            self._joined_last = not frames
            if frames:
                return frames
            if not self._joins:
                return self._prefills.popleft()
            joins, self._joins = self._joins, []
            return joins

    def _take_frames(self) -> list[Frame]:
        joining = {join.slot for join in (*self._joins, *(part.join for part in self._prefills))}
        first: dict[SlotRef, Frame] = {}
        later: deque[Frame] = deque()
        for frame in self._frames:
            if frame.slot in first or frame.slot in joining:
                later.append(frame)
            else:
                first[frame.slot] = frame
        self._frames = later
        return list(first.values())
