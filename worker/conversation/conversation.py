"""A conversation: a session of the engine on one side, a room on the other, and what moves between them."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from livekit import rtc

from engine.errors import EngineError, EngineFull, Refused, UserError
from engine.level import level_db
from engine.protocol import Audio, Ready, Report, Text
from engine.step.frames import FRAME_S
from worker.conversation.engine_link import (
    EngineLink,
    Followed,
    Interrupted,
    Opened,
    Resumed,
    StartedAnew,
    facts,
)
from worker.conversation.latency import INTERVAL_S, TOPIC, CallLatency
from worker.keeping.kept import Kept
from worker.room.audience import EVERYBODY, Audience
from worker.room.idle import Idle
from worker.room.reasons import HANG_UPS, Reason
from worker.signs import attributes
from worker.signs.agent_state import SpeechDetector, State
from worker.signs.attributes import Sign
from worker.signs.transcript import Transcript
from worker.signs.troubles import Trouble, Troubles
from worker.sound.audio_in import AudioIn
from worker.sound.audio_out import Played
from worker.sound.clips import ANEW, GOODBYE, ONE_MOMENT, Clip
from worker.sound.half_duplex import HalfDuplex
from worker.sound.jitter import JitterGauge
from worker.sound.sound_counts import SoundCounts
from worker.sound.voice import Voice

log = logging.getLogger(__name__)

HANG_UP_TIMEOUT_S = 2.0
LAST_WORDS_TIMEOUT_S = 2.0
UNTOLD_S = 1.0
"""An interruption that is over sooner is not worth a word."""
TOO_LATE_S = 1.0
"""Sound that waited longer for the engine is not worth sending."""

LOST = "The model cannot be reached. One moment, please: it is being tried again."
FULL = "All seats are taken. One moment, please: you are let in as soon as one is free."
BACK = "The model is back, and the conversation goes on."
NEW = "This is a new conversation: the model was started again, and remembers nothing of the one before."
OVER = "The model cannot be reached, and this call ends."
UNHEARD = "My voice cannot be heard in this room, because it takes no sound of mine. My words go on here."
HEARD = "My voice can be heard again."


class Conversation:
    """Build it as soon as the room is connected, `run` it, and let it `hear` who speaks.

    It knows nothing of who is in the room: its owner says when it is to `go_on`, which it does not at first,
    to `pause`, to `hang_up`, and when it may `open`: until then the model neither hears nor says anything,
    and apps see an agent that begins. half_duplex: nobody is heard while the agent is.
    """

    def __init__(
        self,
        call_id: str,
        room: rtc.Room,
        link: EngineLink,
        sign: Sign,
        clock: Callable[[], float] = time.monotonic,
        *,
        audience: Audience = EVERYBODY,
        half_duplex: bool = False,
        kept: Kept | None = None,
    ) -> None:
        self._id = call_id
        self._room = room
        self._me = room.local_participant
        self._link = link
        self._sign = sign
        self._audience = audience
        self._clock = clock
        self._audio_in = AudioIn(clock=clock)
        self._voice = Voice(room, self._tell_voice)
        self._jitter = JitterGauge()
        self._guard = HalfDuplex() if half_duplex else None
        self._idle = Idle(clock())
        self._told = SoundCounts()
        self._speech = SpeechDetector()
        self._latency = CallLatency()
        self._kept = kept or Kept()
        self._transcript = Transcript(self._me, audience, self._kept.transcript)
        self.troubles = Troubles(sign, self._transcript.notice)
        self._arrived_at: dict[int, float] = {}
        self._paused = True
        self._opened = False
        self._ready: Ready | None = None
        self._clips: asyncio.Queue[Clip] = asyncio.Queue()
        self._announcing = 0
        self._interruption: EngineError | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()

    async def run(self) -> Reason:
        """Publish the track, open the session, move sound and words until it is over; the reason.

        Cancelling it hangs nothing up: the engine sees a lost connection.
        """
        try:
            async with asyncio.TaskGroup() as pumps:
                answering = pumps.create_task(self._answer())
                others = [
                    pumps.create_task(self._voice.run(self._report)),
                    pumps.create_task(self._ask()),
                    pumps.create_task(self._audio_in.fill()),
                    pumps.create_task(self._announce()),
                    pumps.create_task(self._transcript.run()),
                    pumps.create_task(self._tell_latency()),
                ]
                reason = await asyncio.shield(self._over)
                for task in others:
                    task.cancel()
                if reason in HANG_UPS:
                    await self._link.end()
                    # Until it says that it has ended: closing while it sends could cost the message before.
                    await asyncio.wait([answering], timeout=HANG_UP_TIMEOUT_S)
                answering.cancel()
            if self._room.isconnected():
                await self._finish()
        finally:
            self._tell_nothing()
            await self._link.close()
            await self._voice.close()
            await asyncio.to_thread(self._kept.close)
        return reason

    def hang_up(self, reason: Reason) -> None:
        """End it; the first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is about to."""
        return self._over.done()

    async def hear(self, track: rtc.Track) -> None:
        """Listen to a track until it ends."""
        watching = asyncio.create_task(self._jitter.watch(track))
        try:
            await self._audio_in.read(track)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def pause(self) -> None:
        """Nobody is there: the model's clock stands still, and its seat may go to somebody else."""
        self._paused = True
        self._audio_in.rest()
        self._fall_silent()
        self._transcript.break_off()
        await self._link.pause()

    def go_on(self) -> None:
        """Somebody is there, for the first time or again: the model hears them, or silence."""
        self._paused = False
        self._audio_in.expect()
        self._idle.begin(self._clock())

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the voice: what it says before is lost."""
        await self._voice.heard()

    def open(self) -> None:
        """Let the model begin, once all is played that is announced by now."""
        if not self._opened:
            self._opened = True
            self._show()

    @property
    def track_sid(self) -> str:
        """The track on which it is heard, empty before there is one."""
        return self._voice.track_sid

    @property
    def idle_s(self) -> float:
        """For how long nobody has said anything who could have."""
        if self._paused or self._announcing or not self._opened or not self._link.is_open:
            self._idle.begin(self._clock())
        return self._idle.for_s(self._clock())

    def notice(self, text: str) -> None:
        """A line of text for whoever is there."""
        self._transcript.notice(text)

    def announce(self, clip: Clip) -> None:
        """Play a recording in the model's place: until its end nothing goes to the model or comes from it."""
        self._announcing += 1
        self._clips.put_nowait(clip)

    def summary(self) -> dict[str, object]:
        """What is worth a line in the log afterwards."""
        return {
            "session": self._link.session_id,
            "frames": self._latency.frames,
            **{name: count for name, count in asdict(self._counts()).items() if count},
            "left_out_ms": round(self._voice.left_out_s * 1000),
        }

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                await self._transcript.finish()
        except TimeoutError:
            log.warning("the end of the transcript was lost", extra={"call": self._id})

    async def _ask(self) -> None:
        async for frame in self._audio_in:
            self._idle.frame(level_db(frame.pcm), frame.arrived_at)
            number = await self._link.turn()
            if self._paused or self._announcing or not self._opened:
                continue
            if self._clock() - frame.arrived_at > TOO_LATE_S:
                self._audio_in.late += 1
                continue
            self._arrived_at[number] = frame.arrived_at
            while len(self._arrived_at) > _MOST_AWAITED:
                # Its answer was not played: the room takes no sound, or something was announced.
                del self._arrived_at[next(iter(self._arrived_at))]
            heard = self._guard.hears(frame.pcm, frame.arrived_at) if self._guard else frame.pcm
            if self._kept.recording:
                self._kept.recording.heard(heard)
            await self._link.send(heard)

    async def _answer(self) -> None:
        try:
            async for event in self._link:
                match event:
                    case Audio():
                        self._play(event)
                    case Text(_frame, piece):
                        self._speech.word()
                        self._transcript.piece(piece)
                        self._show()
                    case Opened(ready):
                        log.info("call began", extra={"call": self._id, "session": ready.session})
                        self._begin(ready)
                        self.troubles.end(Trouble.ENGINE)
                    case Resumed(ready):
                        log.info("call goes on", extra={"call": self._id, "session": ready.session})
                        self._begin(ready)
                        self.troubles.end(Trouble.ENGINE, BACK)
                    case Followed(ready, to):
                        told = {"call": self._id, "session": ready.session, "engine": to}
                        log.info("call goes on elsewhere", extra=told)
                    case StartedAnew(ready):
                        log.warning("call began anew", extra={"call": self._id, "session": ready.session})
                        self._begin(ready)
                        self.troubles.end(Trouble.ENGINE)
                        self.notice(NEW)
                        self.announce(ANEW)
                    case Interrupted(error):
                        self._fall_silent()
                        self._transcript.break_off()
                        self._tell_soon(error)
            self.hang_up(Reason.ENGINE_ENDED)
        except EngineError as lost:
            await self._give_up(lost)

    async def _give_up(self, lost: EngineError) -> None:
        if self.is_over:
            return
        refused = isinstance(lost, Refused | UserError)
        log.error("no session", extra={"call": self._id, **facts(lost)})
        self._tell_nothing()
        self.notice(OVER)
        self.announce(GOODBYE)
        await self._clips.join()
        self.hang_up(Reason.REFUSED if refused else Reason.ENGINE_LOST)

    def _begin(self, ready: Ready) -> None:
        """There is a session, the first one or again."""
        self._tell_nothing()
        self._arrived_at.clear()
        if self._kept.recording:
            self._kept.recording.break_off()
        self._ready = ready
        self._show()

    def _show(self) -> None:
        """The model and the state together, see worker/signs/attributes.py."""
        if not (self._opened and self._ready):
            return
        self._sign.show(attributes.MODEL, self._ready.model)
        self._sign.show(attributes.MODEL_DELAY_MS, str(self._ready.model_delay_ms))
        self.troubles.show_state(State.SPEAKING if self._announcing else self._speech.state)

    def _play(self, answer: Audio) -> None:
        if self._kept.recording:
            self._kept.recording.said(answer.pcm)
        if self._announcing:
            return
        level = level_db(answer.pcm)
        self._voice.put(answer, level)
        self._speech.frame(level)
        self._transcript.frame(level)
        self._show()

    def _fall_silent(self) -> None:
        self._speech = SpeechDetector()
        self._voice.rest()
        self._show()

    def _tell_soon(self, error: EngineError) -> None:
        if self._interruption is None:
            self._telling = asyncio.get_running_loop().call_later(UNTOLD_S, self._tell_interruption)
        told = self._interruption is not None and self._telling is None
        self._interruption = error
        if told:
            self.troubles.begin(Trouble.ENGINE, _sentence(error))

    def _tell_interruption(self) -> None:
        self._telling = None
        assert self._interruption is not None
        self.troubles.begin(Trouble.ENGINE, _sentence(self._interruption))
        self.announce(ONE_MOMENT)

    def _tell_nothing(self) -> None:
        self._interruption = None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _tell_voice(self, is_heard: bool) -> None:
        self._transcript.track_sid = self._voice.track_sid
        self._audience.heard()
        if is_heard:
            self.troubles.end(Trouble.VOICE, HEARD)
        else:
            self.troubles.begin(Trouble.VOICE, UNHEARD)

    async def _report(self, played: Played) -> None:
        if self._guard:
            self._guard.played(played.level_db, played.handed_at + played.queued_s)
        arrived_at = self._arrived_at.pop(played.frame, None)
        if arrived_at is None:
            return
        jitter_s, worker_s = self._jitter.latest_s, played.handed_at - arrived_at
        self._latency.add(jitter_s or 0.0, worker_s, played.queued_s)
        counts = self._counts()
        new, self._told = counts.since(self._told), counts
        await self._link.report(
            Report(
                played.frame,
                worker_us=_microseconds(worker_s),
                playout_us=_microseconds(played.queued_s),
                jitter_us=None if jitter_s is None else _microseconds(jitter_s),
                **asdict(new),
            )
        )

    def _counts(self) -> SoundCounts:
        return SoundCounts(
            self._voice.underruns,
            self._audio_in.late,
            self._audio_in.filled,
            _microseconds(self._jitter.concealed_s),
        )

    async def _announce(self) -> None:
        while True:
            clip = await self._clips.get()
            began_at = self._clock()
            for number, pcm in enumerate(clip.frames, start=1):
                self._voice.put(Audio(_NO_ANSWER, 0, 0, pcm), level_db(pcm))
                await asyncio.sleep(max(0.0, began_at + number * FRAME_S - self._clock()))
            self._announcing -= 1
            self._show()
            self._clips.task_done()

    async def _tell_latency(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            if not self._latency.frames:
                continue
            try:
                await self._me.send_text(self._latency.to_json(), topic=TOPIC, **self._audience.addressed())
            except Exception:
                # The SDK has no narrower error. What is lost now is told again.
                log.warning("the latency could not be told", exc_info=True, extra={"call": self._id})


_NO_ANSWER = -1
_MOST_AWAITED = 100


def _sentence(error: EngineError) -> str:
    return FULL if error.code in (EngineFull.code, Refused.code) else LOST


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
