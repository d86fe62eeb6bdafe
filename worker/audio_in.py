"""A caller's track as frames for the engine: 80 ms each, never more than a few waiting."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from livekit import rtc

from engine.step.frames import FRAME_S, SAMPLE_RATE

CAPACITY_FRAMES = 5


@dataclass(frozen=True, slots=True)
class CallerFrame:
    """80 ms of the caller as PCM s16le mono 24 kHz, arrived at `arrived_at` (monotonic seconds)."""

    pcm: bytes
    arrived_at: float


class AudioIn:
    """Frames of one track after the other. When nobody takes them, the oldest go: `dropped` counts these.

    A backlog would be lag for the rest of the call, so a stall costs sound instead.
    """

    def __init__(self, capacity: int = CAPACITY_FRAMES, clock: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        self._clock = clock
        self._waiting: deque[CallerFrame] = deque(maxlen=capacity)
        self._arrival = asyncio.Event()

    async def read(self, track: rtc.Track) -> None:
        """Take in a track until it ends."""
        stream = rtc.AudioStream(
            track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=round(FRAME_S * 1000)
        )
        try:
            async for event in stream:
                self.put(event.frame.data.tobytes())
        finally:
            await stream.aclose()

    def put(self, pcm: bytes) -> None:
        """One frame that has just arrived."""
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(CallerFrame(pcm, self._clock()))
        self._arrival.set()

    async def __aiter__(self) -> AsyncIterator[CallerFrame]:
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._waiting:
                yield self._waiting.popleft()
