"""What callers say as frames for the engine: 80 ms each, never more than a few waiting."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from engine.protocol import FRAME_BYTES
from worker.sound.pacemaker import Pacemaker

CAPACITY_FRAMES = 5
TOO_LATE_S = 1.0
"""Sound that waited longer for the engine is not worth sending."""
_SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class CallerFrame:
    """80 ms of the caller as PCM s16le mono 24 kHz, arrived at `arrived_at` (monotonic seconds)."""

    pcm: bytes
    arrived_at: float


class FramesIn:
    """Frames as they are put, and silence where one is missing.

    `late` counts those that nobody took in time, or that came after silence was heard in their place;
    `filled` counts this silence. A backlog would be lag for the rest of the call, so a stall costs sound: of
    one that is longer than `capacity`, only the last frame is kept.
    """

    def __init__(self, capacity: int = CAPACITY_FRAMES, clock: Callable[[], float] = time.monotonic) -> None:
        self.late = 0
        self.filled = 0
        self._capacity = capacity
        self._clock = clock
        self._pace = Pacemaker()
        self._waiting: deque[CallerFrame] = deque()
        self._overflowed = False
        self._arrival = asyncio.Event()
        self._expected = asyncio.Event()

    def expect(self) -> None:
        """Somebody is there: from now on there is sound, or silence for it."""
        self._pace.expect(self._clock())
        self._expected.set()

    def rest(self) -> None:
        """Nobody is there."""
        self._pace.rest()
        self._expected.clear()

    def put(self, pcm: bytes) -> None:
        """One frame that has just arrived."""
        now = self._clock()
        if self._pace.arrived(now):
            self._append(CallerFrame(pcm, now))
        else:
            self.late += 1

    async def fill(self) -> None:
        """Put silence where sound is missing, while it is expected."""
        while True:
            await self._expected.wait()
            await asyncio.sleep(max(0.0, self._pace.due_at - self._clock()))
            now = self._clock()
            if self._expected.is_set() and self._pace.is_missing(now):
                self.filled += 1
                self._append(CallerFrame(_SILENCE, now))

    async def __aiter__(self) -> AsyncIterator[CallerFrame]:
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._waiting:
                self._overflowed = False
                yield self._waiting.popleft()

    def _append(self, frame: CallerFrame) -> None:
        if self._overflowed or len(self._waiting) == self._capacity:
            self._overflowed = True
            self.late += len(self._waiting)
            self._waiting.clear()
        self._waiting.append(frame)
        self._arrival.set()
