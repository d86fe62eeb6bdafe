"""The tracks of a room that somebody listens to, as frames for the engine."""

import time
from collections.abc import Callable

from livekit import rtc

from engine.step.frames import FRAME_S, SAMPLE_RATE
from worker.sound.frames_in import CAPACITY_FRAMES, FramesIn
from worker.sound.mix import Mix

Change = Callable[[bytes], bytes]
"""What is done with a frame before anything else, PCM s16le mono 24 kHz."""


class AudioIn(FramesIn):
    """Frames of the tracks that are read, mixed if there are several."""

    def __init__(self, capacity: int = CAPACITY_FRAMES, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(capacity, clock)
        self._mix = Mix()

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
