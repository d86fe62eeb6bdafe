"""The track that the caller hears."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

from livekit import rtc

from engine.protocol import Audio
from engine.step.frames import FRAME_S, SAMPLE_RATE
from engine.trim import PlayoutTrim

TRACK_NAME = "moshi"
QUEUE_MS = 200
_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Played:
    """The answer to `frame` went to the track at `handed_at` (monotonic), behind `queued_s` of sound."""

    frame: int
    handed_at: float
    queued_s: float


class AudioOut:
    """A published track, fed frame by frame. `left_out_s` counts the silence that was trimmed from it."""

    def __init__(
        self, source: rtc.AudioSource, track_sid: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.track_sid = track_sid
        self.left_out_s = 0.0
        self._source = source
        self._clock = clock
        self._trim = PlayoutTrim()
        self._waiting: asyncio.Queue[tuple[Audio, float]] = asyncio.Queue()

    @classmethod
    async def publish(cls, participant: rtc.LocalParticipant) -> Self:
        """Publish the track before there is anything to say: a telephone call is answered by it."""
        source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track(TRACK_NAME, source)
        # No gaps in silence: the receiver's jitter buffer takes them for loss.
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=True)
        publication = await participant.publish_track(track, options)
        return cls(source, publication.sid)

    def put(self, answer: Audio, level_db: float) -> None:
        """Play this next; `level_db` is its level."""
        self._waiting.put_nowait((answer, level_db))

    async def play(self) -> AsyncIterator[Played]:
        """Give the track what was put here, QUEUE_MS ahead at most, and tell when each frame went."""
        while True:
            answer, level_db = await self._waiting.get()
            played = Played(answer.frame, self._clock(), self._source.queued_duration)
            ahead_s = played.queued_s + self._waiting.qsize() * FRAME_S
            skip = self._trim.samples_to_leave_out(ahead_s, level_db)
            self.left_out_s += skip / SAMPLE_RATE
            kept = answer.pcm[skip * _SAMPLE_BYTES :]
            await self._source.capture_frame(rtc.AudioFrame(kept, SAMPLE_RATE, 1, len(kept) // _SAMPLE_BYTES))
            yield played

    async def close(self) -> None:
        """Drop what is queued."""
        await self._source.aclose()
