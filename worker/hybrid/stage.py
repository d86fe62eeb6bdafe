"""The one track of a call with two speakers, and the framework's way to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import numpy as np
from livekit import rtc
from livekit.agents.voice import io
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE
from worker.hybrid.conductor import Conductor
from worker.room.welcome import UNHEARD_S
from worker.sound.audio_out import QUEUE_MS, TRACK_NAME

AHEAD_S = 0.04
"""Sound of an answer that the track has before it is heard. More is lag for who interrupts it, less a gap
where the process stands still for a moment."""
MOSHI_AHEAD_S = 0.02
"""The same of Moshi's sound: an answer has to wait for it."""


class Stage(io.AudioOutput):
    """Where an AgentSession sends its answers, as `session.output.audio`. `publish` it, then `run` it.

    The framework pushes an answer as fast as it is made: the conductor keeps it until it is its turn.
    """

    def __init__(
        self,
        conductor: Conductor,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,  # noqa: TID251  # the framework stamps its events with it
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        pausing = io.AudioOutputCapabilities(pause=True)
        super().__init__(label="moshi.Stage", capabilities=pausing, sample_rate=SAMPLE_RATE)
        self.track_sid = ""
        self._conductor = conductor
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._source: rtc.AudioSource | None = None
        self._heard = asyncio.Event()
        self._news = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._is_capturing = False
        self._answered = 0

    async def publish(self, participant: rtc.LocalParticipant) -> None:
        """Publish the track. Answers wait until somebody has subscribed to it, UNHEARD_S at most."""
        source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track(TRACK_NAME, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=True)
        publication = await participant.publish_track(track, options)
        self.track_sid, self._source = publication.sid, source
        # The SDK may miss the moment at which somebody has.
        with suppress(TimeoutError):
            async with asyncio.timeout(UNHEARD_S):
                await publication.wait_for_subscription()
        self._heard.set()

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the track."""
        await self._heard.wait()

    async def run(self) -> None:
        """Play what the conductor lets be heard, until cancelled."""
        await self._heard.wait()
        assert self._source is not None
        await self.play(self._source)

    async def play(self, source: rtc.AudioSource) -> None:
        """Feed this source, a little ahead of what is heard."""
        self._source = source
        self._heard.set()
        while True:
            ahead_s = AHEAD_S if self._conductor.is_answering else MOSHI_AHEAD_S
            await self._sleep(max(0.0, source.queued_duration - ahead_s))
            self._news.clear()
            piece = self._conductor.take(self._clock())
            if piece is not None:
                if piece.answer_samples and not self._answered:
                    self.on_playback_started(created_at=self._wall())
                self._answered += piece.answer_samples
                samples = len(piece.pcm) // 2
                await source.capture_frame(rtc.AudioFrame(piece.pcm, SAMPLE_RATE, 1, samples))
            if self._conductor.answer_is_over:
                self._conductor.close_answer()
                asyncio.get_running_loop().call_later(source.queued_duration, self._finish, False)
            if piece is None:
                await self._news.wait()

    def wake(self) -> None:
        """There may be something to play."""
        self._news.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """The answer's next samples."""
        await self._heard.wait()
        if not self._is_capturing:
            # The answer before this one was ended, and is still heard.
            await self._free.wait()
            self._answered = 0
            self._free.clear()
            self._is_capturing = True
        await super().capture_frame(frame)
        self._conductor.answer(_mono(frame))
        self.wake()

    def flush(self) -> None:
        """The answer is complete."""
        super().flush()
        if self._is_capturing:
            self._is_capturing = False
            self._conductor.end_answer()
            self.wake()

    def clear_buffer(self) -> None:
        """The answer is wanted no more."""
        if not self._free.is_set():
            self._is_capturing = False
            self._conductor.drop_answer()
            self._finish(True)
            self.wake()

    def pause(self) -> None:
        """The answer waits."""
        super().pause()
        self._conductor.hold_answer()
        self.wake()

    def resume(self) -> None:
        """The answer goes on."""
        super().resume()
        self._conductor.go_on()
        self.wake()

    async def close(self) -> None:
        """Drop what is queued."""
        if self._source is not None:
            await self._source.aclose()

    def _finish(self, interrupted: bool) -> None:
        if self._free.is_set():
            return
        self._free.set()
        queued_s = self._source.queued_duration if interrupted and self._source else 0.0
        heard_s = max(0.0, self._answered / SAMPLE_RATE - queued_s)
        self.on_playback_finished(playback_position=heard_s, interrupted=interrupted)


def _mono(frame: rtc.AudioFrame) -> NDArray[np.int16]:
    pcm = np.frombuffer(frame.data.tobytes(), "<i2")
    if frame.num_channels == 1:
        return pcm
    mono: NDArray[np.int16] = pcm.reshape(-1, frame.num_channels).mean(axis=1).astype("<i2")
    return mono
