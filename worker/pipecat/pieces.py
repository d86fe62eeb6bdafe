"""The caller's sound as a pipeline carries it, cut to what the engine takes."""

import numpy as np
from pipecat.audio.resamplers.base_audio_resampler import BaseAudioResampler
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import InputAudioRawFrame

from engine.protocol import FRAME_BYTES
from engine.step.frames import SAMPLE_RATE

_QUALITY = "LQ"
"""Pipecat's own choice, VHQ, holds up to 75 ms back."""


class Pieces:
    """Takes frames of any length, rate and number of channels, gives 80 ms of PCM s16le mono 24 kHz each.

    Frames at 24 kHz whose length divides 80 ms cost no delay: others wait for a resampler, or for the one
    that completes theirs.
    """

    def __init__(self) -> None:
        self._resampler = _resampler()
        self._from_rate = SAMPLE_RATE
        self._rest = b""

    async def push(self, frame: InputAudioRawFrame) -> list[bytes]:
        """Those that are complete with this frame, [FRAME_BYTES] each."""
        if frame.sample_rate != self._from_rate:
            self._from_rate = frame.sample_rate
            self._resampler = _resampler()
        self._rest += await self._resampler.resample(_mono(frame), frame.sample_rate, SAMPLE_RATE)
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        ready, self._rest = self._rest[:whole], self._rest[whole:]
        return [ready[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def _resampler() -> BaseAudioResampler:
    # After a pause it goes on: by itself it would forget what it holds back, and the frame would wait for it.
    return create_stream_resampler(quality=_QUALITY, clear_after_secs=None)


def _mono(frame: InputAudioRawFrame) -> bytes:
    pcm: bytes = frame.audio
    if frame.num_channels == 1:
        return pcm
    channels = np.frombuffer(pcm, "<i2").reshape(-1, frame.num_channels)
    mono: bytes = channels.mean(axis=1).astype("<i2").tobytes()
    return mono
