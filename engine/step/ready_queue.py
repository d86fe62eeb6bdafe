"""What waits for the step thread: sessions that join, and complete frames. The only lock between threads."""

from collections import deque
from dataclasses import dataclass
from threading import Condition

from engine.step.frames import Frame, Sampling, SlotRef


@dataclass(frozen=True, slots=True)
class Join:
    """A session that takes a slot over: its state is reset and primed before its first frame."""

    slot: SlotRef
    sampling: Sampling


class ReadyQueue:
    """Filled from the event loop, emptied by the step thread.

    There is no tick and no lingering: `take` answers as soon as anything is ready, with all that is ready
    then.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._joins: list[Join] = []
        self._frames: deque[Frame] = deque()
        self._closed = False
        self._joined_last = False

    def join(self, join: Join) -> None:
        """A session that will send frames; call it before the first of them."""
        with self._changed:
            self._joins.append(join)
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
            self._frames = deque(frame for frame in self._frames if frame.slot != slot)

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> list[Join] | list[Frame] | None:
        """Wait for work: sessions that join, or the oldest frame of each session, oldest first.

        Joins go first, but never twice in a row while frames wait: whoever opens sessions all the time takes
        half of the steps, not all. None once the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._joins or self._frames)
            if self._closed:
                return None
            frames = self._take_frames() if self._joined_last or not self._joins else []
            self._joined_last = not frames
            if frames:
                return frames
            joins, self._joins = self._joins, []
            return joins

    def _take_frames(self) -> list[Frame]:
        joining = {join.slot for join in self._joins}
        first: dict[SlotRef, Frame] = {}
        later: deque[Frame] = deque()
        for frame in self._frames:
            if frame.slot in first or frame.slot in joining:
                later.append(frame)
            else:
                first[frame.slot] = frame
        self._frames = later
        return list(first.values())
