"""A caller's microphone: a recording goes out in real time at the time that was set for it, else silence."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

SPEAKING_RATE = 48_000
PIECE_S = 0.02
PIECE_SAMPLES = round(SPEAKING_RATE * PIECE_S)
_QUEUE_MS = 200
_RESERVE_S = 0.04
_SILENCE = np.zeros(PIECE_SAMPLES, np.int16)

Put = Callable[[NDArray[np.int16]], Awaitable[None]]
Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Microphone:
    """Hands pieces of PIECE_S to `put`, which plays them one after the other, a little before they are due.

    So a process that wakes up late is not late to speak. What a longer stall has delayed goes out late, and
    the delay is made up for in the recording's next silence: the schedule does not wait for the speaker.
    """

    def __init__(self, put: Put, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        self._put = put
        self._clock = clock
        self._sleep = sleep
        self._to_say: NDArray[np.int16] = _SILENCE[:0]
        self._earliest: float | None = None
        self._said = asyncio.Event()
        self.out_at: list[float] = []
        """When each piece of the last recording went out, as the clock tells it."""
        self.due_at = 0.0
        """When the last recording was to begin."""

    @classmethod
    async def publish(cls, room: rtc.Room) -> tuple["Microphone", rtc.LocalTrackPublication]:
        """A microphone that a room hears once it runs."""
        source = rtc.AudioSource(SPEAKING_RATE, 1, queue_size_ms=_QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)

        async def put(piece: NDArray[np.int16]) -> None:
            await source.capture_frame(rtc.AudioFrame(piece.tobytes(), SPEAKING_RATE, 1, len(piece)))

        return cls(put), await room.local_participant.publish_track(track, options)

    def say(self, pcm: NDArray[np.int16], at: float | None = None) -> None:
        """Speak int16 [N] at SPEAKING_RATE from `at` on, as the clock tells it, or from now on."""
        self._said.clear()
        self.out_at.clear()
        self._to_say, self._earliest = pcm, self._clock() if at is None else at

    async def wait_until_said(self) -> None:
        """Until the last piece was handed over."""
        await self._said.wait()

    async def run(self) -> None:
        """Until cancelled."""
        await self._put(np.zeros(round(SPEAKING_RATE * _RESERVE_S), np.int16))
        free_at = due_at = self._clock() + _RESERVE_S
        while True:
            # The queue of the track never holds more than the reserve: a lateness that has to wait in it
            # would be heard as lag.
            await self._sleep(max(due_at, free_at) - _RESERVE_S - self._clock())
            speaks = self._earliest is not None and due_at >= self._earliest and len(self._to_say) > 0
            if speaks and not self.out_at:
                self.due_at = due_at
            piece = self._next() if speaks else _SILENCE
            out_at = max(self._clock(), free_at)
            if speaks:
                self.out_at.append(out_at)
            if piece.any() or out_at < due_at + PIECE_S:
                free_at = out_at + PIECE_S
                await self._put(piece)
            if speaks and not len(self._to_say):
                self._said.set()
            due_at += PIECE_S

    def _next(self) -> NDArray[np.int16]:
        piece, self._to_say = self._to_say[:PIECE_SAMPLES], self._to_say[PIECE_SAMPLES:]
        return np.pad(piece, (0, PIECE_SAMPLES - len(piece)))
