"""The track that the caller hears."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from livekit import rtc

from engine.protocol import Audio
from engine.step.frames import FRAME_S, SAMPLE_RATE
from engine.trim import PlayoutTrim

TRACK_NAME = "moshi"
QUEUE_MS = 200
_SAMPLE_BYTES = 2


async def _at_once() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Played:
    """The answer to `frame` went to the track at `handed_at` (monotonic), behind `queued_s` of sound.

    `level_db` is its level.
    """

    frame: int
    handed_at: float
    queued_s: float
    level_db: float


class AudioOut:
    """A published track, fed frame by frame. `left_out_s` counts the silence that was trimmed from it,
    `underruns` how often it had nothing to play.
    """

    def __init__(
        self,
        source: rtc.AudioSource,
        track_sid: str,
        clock: Callable[[], float] = time.monotonic,
        heard: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self.track_sid = track_sid
        self.heard = heard
        """Wait until somebody has subscribed to it."""
        self.left_out_s = 0.0
        self._source = source
        self._clock = clock
        self._trim = PlayoutTrim()
        self._ends_at: float | None = None
        self._waiting: asyncio.Queue[tuple[Audio, float]] = asyncio.Queue()

    @classmethod
    async def publish(cls, participant: rtc.LocalParticipant) -> Self:
        """Publish the track before there is anything to say: a telephone call is answered by it."""
        source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track(TRACK_NAME, source)
        # No gaps in silence: the receiver's jitter buffer takes them for loss.
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=True)
        publication = await participant.publish_track(track, options)
        return cls(source, publication.sid, heard=publication.wait_for_subscription)

    @property
    def underruns(self) -> int:
        """How often an answer came after the one before it had been played."""
        return self._trim.underruns

    def put(self, answer: Audio, level_db: float) -> None:
        """Play this next; `level_db` is its level."""
        self._waiting.put_nowait((answer, level_db))

    def rest(self) -> None:
        """Nothing is expected for a while: what comes next is not late."""
        self._ends_at = None

    async def play(self) -> AsyncIterator[Played]:
        """Give the track what was put here, QUEUE_MS ahead at most, and tell when each frame went."""
        while True:
            answer, level_db = await self._waiting.get()
            played = Played(answer.frame, self._clock(), self._source.queued_duration, level_db)
            skip = self._trim.samples_to_leave_out(self._ahead_s(played), level_db)
            self.left_out_s += skip / SAMPLE_RATE
            kept = answer.pcm[skip * _SAMPLE_BYTES :]
            samples = len(kept) // _SAMPLE_BYTES
            self._ends_at = played.handed_at + played.queued_s + samples / SAMPLE_RATE
            await self._source.capture_frame(rtc.AudioFrame(kept, SAMPLE_RATE, 1, samples))
            yield played

    def _ahead_s(self, played: Played) -> float:
        """The sound before this frame that is still to be heard; below 0, for how long there was none."""
        ahead_s = played.queued_s + self._waiting.qsize() * FRAME_S
        if ahead_s > 0 or self._ends_at is None:
            return ahead_s
        return min(0.0, self._ends_at - played.handed_at)

    async def close(self) -> None:
        """Drop what is queued."""
        await self._source.aclose()
