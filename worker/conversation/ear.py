"""What the callers of a conversation say, on its way to the model; and for how long they say nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable

from livekit import rtc

from engine.level import level_db
from worker.conversation.waits import microseconds
from worker.room.idle import Idle
from worker.sound.audio_in import AudioIn, Change
from worker.sound.audio_out import Played
from worker.sound.frames_in import TOO_LATE_S, CallerFrame
from worker.sound.half_duplex import HalfDuplex
from worker.sound.jitter import JitterGauge
from worker.sound.sound_counts import SoundCounts


class Ear:
    """`hear` tracks, `fill` what is missing in them, iterate over their frames. Times in monotonic seconds.

    half_duplex: nobody is heard while the agent is.
    """

    def __init__(self, clock: Callable[[], float], *, half_duplex: bool) -> None:
        self._clock = clock
        self._audio_in = AudioIn(clock=clock)
        self._jitter = JitterGauge()
        self._guard = HalfDuplex() if half_duplex else None
        self._idle = Idle(clock())

    @property
    def jitter_s(self) -> float | None:
        """How long sound waits in the caller's jitter buffer, if it is known."""
        return self._jitter.latest_s

    async def hear(self, track: rtc.Track, change: Change = bytes) -> None:
        """Listen to a track until it ends."""
        watching = asyncio.create_task(self._jitter.watch(track))
        try:
            await self._audio_in.read(track, change)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def fill(self) -> None:
        """Put silence where sound is missing that is expected, until cancelled."""
        await self._audio_in.fill()

    def expect(self, *, anew: bool) -> None:
        """Somebody is there who may speak; anew: who has been silent for no time yet."""
        self._audio_in.expect()
        if anew:
            self._idle.begin(self._clock())

    def rest(self) -> None:
        """Nobody is there."""
        self._audio_in.rest()

    def idle_s(self, *, counted: bool) -> float:
        """For how long nobody has said anything; while it is not counted, no time."""
        if not counted:
            self._idle.begin(self._clock())
        return self._idle.for_s(self._clock())

    def agent_played(self, played: Played) -> None:
        """The agent is heard: a guard may have to know."""
        if self._guard:
            self._guard.played(played.level_db, played.handed_at + played.queued_s)

    def for_model(self, frame: CallerFrame) -> bytes | None:
        """What the model is to hear of a frame, PCM s16le mono; None if it has come too late for that."""
        if self._clock() - frame.arrived_at > TOO_LATE_S:
            self._audio_in.late += 1
            return None
        return self._guard.hears(frame.pcm, frame.arrived_at) if self._guard else frame.pcm

    def counts(self, underruns: int) -> SoundCounts:
        """What went wrong so far, with this of the agent's own sound."""
        return SoundCounts(
            underruns, self._audio_in.late, self._audio_in.filled, microseconds(self._jitter.concealed_s)
        )

    async def __aiter__(self) -> AsyncIterator[CallerFrame]:
        async for frame in self._audio_in:
            self._idle.frame(level_db(frame.pcm), frame.arrived_at)
            yield frame
