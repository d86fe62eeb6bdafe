"""The caller's sound as the framework pushes it, cut to what the engine takes."""

import numpy as np
from livekit import rtc

from engine.protocol import FRAME_BYTES
from engine.step.frames import SAMPLE_RATE


class Pieces:
    """Takes frames of any length, rate and number of channels, gives 80 ms of PCM s16le mono 24 kHz each.

    Frames whose length divides 80 ms cost no delay: others wait for the one that completes theirs.
    """

    def __init__(self) -> None:
        self._resampler: rtc.AudioResampler | None = None
        self._from_rate = SAMPLE_RATE
        self._rest = b""

    def push(self, frame: rtc.AudioFrame) -> list[bytes]:
        """Those that are complete with this frame, [FRAME_BYTES] each."""
        self._rest += b"".join(mono(part) for part in self._resampled(frame))
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        ready, self._rest = self._rest[:whole], self._rest[whole:]
        return [ready[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]

    def _resampled(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        if frame.sample_rate != self._from_rate:
            self._from_rate = frame.sample_rate
            self._resampler = (
                None
                if frame.sample_rate == SAMPLE_RATE
                else rtc.AudioResampler(frame.sample_rate, SAMPLE_RATE, num_channels=frame.num_channels)
            )
        return self._resampler.push(frame) if self._resampler else [frame]


def mono(frame: rtc.AudioFrame) -> bytes:
    """PCM s16le of one channel; several are averaged."""
    pcm = frame.data.tobytes()
    if frame.num_channels == 1:
        return pcm
    channels = np.frombuffer(pcm, "<i2").reshape(-1, frame.num_channels)
    mono: bytes = channels.mean(axis=1).astype("<i2").tobytes()
    return mono
