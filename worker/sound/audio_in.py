"""What callers say as frames for the engine: 80 ms each, never more than a few waiting."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from livekit import rtc

from engine.protocol import FRAME_BYTES
from engine.step.frames import FRAME_S, SAMPLE_RATE
from worker.sound.mix import Mix
from worker.sound.pacemaker import Pacemaker

Change = Callable[[bytes], bytes]
"""What is done with a frame before anything else, PCM s16le mono 24 kHz."""
CAPACITY_FRAMES = 5
_SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class CallerFrame:
    """80 ms of the caller as PCM s16le mono 24 kHz, arrived at `arrived_at` (monotonic seconds)."""

    pcm: bytes
    arrived_at: float


class AudioIn:
    """Frames of the tracks that are read, mixed if there are several, and silence where sound is missing.

    `late` counts those that nobody took in time, or that came after silence was heard in their place;
    `filled` counts this silence. A backlog would be lag for the rest of the call, so a stall costs sound: of
    one that is longer than `capacity`, only the last frame is kept.
    """

    def __init__(self, capacity: int = CAPACITY_FRAMES, clock: Callable[[], float] = time.monotonic) -> None:
        self.late = 0
        self.filled = 0
        self._capacity = capacity
        self._clock = clock
        self._mix = Mix()
        self._pace = Pacemaker()
        self._waiting: deque[CallerFrame] = deque()
        self._overflowed = False
        self._arrival = asyncio.Event()
        self._expected = asyncio.Event()

    async def read(self, track: rtc.Track, change: Change = bytes) -> None:
        """Take in a track until it ends. One that is taken back does not: the SDK's stream falls silent."""
        stream = rtc.AudioStream(
            track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=round(FRAME_S * 1000)
        )
        part = self._mix.join()
        try:
            async for event in stream:
                mixed = self._mix.add(part, change(event.frame.data.tobytes()))
                if mixed is not None:
                    self.put(mixed)
        finally:
            self._mix.leave(part)
            await stream.aclose()

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
