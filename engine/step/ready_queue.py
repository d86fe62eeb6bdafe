"""What waits for the step thread: sessions that join or move, and complete frames. The only lock between
threads.
"""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from engine.step.frames import Frame, Sampling, SlotRef
from engine.step.moves import HostCopy, Keep, Move, Recall, Restore

if TYPE_CHECKING:
    from engine.step.prefix import Prefix

MOST_POSITIONS = 256
"""Of a prefix at once."""
# As many as graphs prime at once: with more, frames would wait for several of them in a row.
_JOINS = 8


@dataclass(frozen=True, slots=True)
class Join:
    """A session that takes a slot over: its state is reset and primed before its first frame.

    With a prefix it begins with that instead. kept: what all but the last position of the prefix leave
    behind; where that is still empty, it is filled on the way.
    """

    slot: SlotRef
    sampling: Sampling
    prefix: "Prefix | None" = field(default=None, compare=False)
    kept: HostCopy | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Prefill:
    """Some of the positions of a joining session's prefix."""

    join: Join
    positions: range

    @property
    def slot(self) -> SlotRef:
        """Whose it is."""
        return self.join.slot


Beginning = Prefill | Keep | Recall
"""What comes before the first frame of a session that has a prefix."""
Work = list[Join] | Prefill | Move | list[Frame]


class ReadyQueue:
    """Filled from the event loop, emptied by the step thread. positions: how many of a prefix run at once.

    There is no tick and no lingering: `take` answers as soon as anything is ready, with all that is ready
    then.
    """

    def __init__(self, positions: int = MOST_POSITIONS) -> None:
        self._positions = positions
        self._changed = Condition()
        self._joins: list[Join] = []
        self._beginnings: deque[Beginning] = deque()
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
                self._beginnings += _beginning(join, join.prefix.length, self._positions)
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
            self._beginnings = deque(part for part in self._beginnings if part.slot != slot)
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
        time takes half of the steps, not all. Eight sessions join at once, or as many as there are. [] when
        nothing has come for `wait_s` seconds, None once the queue is closed.
        """
        with self._changed:
            while not self._closed:
                if work := self._next():
                    return work
                if not self._changed.wait(wait_s):
                    return []
            return None

    def filled_up(self, frames: list[Frame]) -> list[Frame]:
        """Frames that were taken, and the oldest of each other session that has become ready since."""
        with self._changed:
            taken = {frame.slot for frame in frames}
            return [*frames, *self._take_frames(taken)]

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
            return arriving
        if isinstance(arriving, Prefill | Keep | Recall):
            self._beginnings.remove(arriving)
        else:
            self._moves.popleft()
        if not isinstance(arriving, Prefill):
            self._moving = arriving
        return arriving

    def _next_arrival(self) -> list[Join] | Beginning | Move | None:
        """Joins before prefixes before moves, each as soon as the slot's last session has been copied out."""
        joins = [join for join in self._joins if not self._has_to_wait(join.slot)]
        if joins:
            return joins[:_JOINS]
        if part := self._next_beginning():
            return part
        if self._moves and self._moving is None and self._can_move(self._moves[0]):
            return self._moves[0]
        return None

    def _next_beginning(self) -> Beginning | None:
        """The oldest that can go; those of one session stay in their order."""
        waiting = {self._moving.slot} if self._moving else set[SlotRef]()
        for part in self._beginnings:
            copies = not isinstance(part, Prefill)
            if part.slot in waiting or self._has_to_wait(part.slot) or (copies and self._moving):
                waiting.add(part.slot)
            else:
                return part
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
        return {item.slot for item in (*self._joins, *self._beginnings)}

    def _take_frames(self, but: Collection[SlotRef] = ()) -> list[Frame]:
        not_yet = self._joining() | {move.slot for move in self._pending_moves() if isinstance(move, Restore)}
        first: dict[SlotRef, Frame] = {}
        later: deque[Frame] = deque()
        for frame in self._frames:
            if frame.slot in first or frame.slot in not_yet or frame.slot in but:
                later.append(frame)
            else:
                first[frame.slot] = frame
        self._frames = later
        return list(first.values())


def _beginning(join: Join, length: int, at_once: int) -> Iterator[Beginning]:
    """In which steps a session comes to the end of its prefix."""
    last = range(length - 1, length)
    if join.kept is None:
        yield from _prefills(join, length, at_once)
    elif join.kept.snapshot is not None:
        yield Recall(join.slot, join.kept)
        yield Prefill(join, last)
    else:
        yield from _prefills(join, length - 1, at_once)
        yield Keep(join.slot, join.kept)
        yield Prefill(join, last)


def _prefills(join: Join, stop: int, at_once: int) -> Iterator[Prefill]:
    return (Prefill(join, positions) for positions in parts(stop, at_once))


def parts(length: int, at_once: int) -> Iterator[range]:
    """The positions of a prefix in the pieces that are run at once."""
    for at in range(0, length, at_once):
        yield range(at, min(at + at_once, length))
