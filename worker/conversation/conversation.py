"""A conversation: a session of the engine on one side, a room on the other, and what moves between them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict

from livekit import rtc

from engine.errors import EngineError
from engine.protocol import Audio, Ready, Text
from engine.step.frames import FRAME_S
from worker.conversation.ear import Ear
from worker.conversation.engine_link import EngineLink, Followed, Interrupted, Opened, Resumed, StartedAnew
from worker.conversation.mouth import Mouth
from worker.conversation.news import News
from worker.conversation.waits import Waits
from worker.keeping.kept import Kept
from worker.room.audience import EVERYBODY, Audience
from worker.room.reasons import HANG_UPS, Reason
from worker.signs import attributes
from worker.signs.attributes import Sign
from worker.signs.captions import Captions
from worker.signs.transcript import Transcript
from worker.signs.troubles import Troubles
from worker.sound.audio_in import Change
from worker.sound.audio_out import Played
from worker.sound.clips import Clip
from worker.sound.sound_counts import SoundCounts
from worker.sound.voice import Voice
from worker.watching.diary import Diary, Event, Fact

HANG_UP_TIMEOUT_S = 2.0


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
        diary: Diary | None = None,
        captions: Captions | None = None,
    ) -> None:
        self._id = call_id
        self._room = room
        self._me = room.local_participant
        self._link = link
        self._sign = sign
        self._audience = audience
        self._ear = Ear(clock, half_duplex=half_duplex)
        self._voice = Voice(room, self._tell_voice)
        self._waits = Waits()
        self._kept = kept or Kept()
        self._captions = captions
        self._transcript = Transcript(self._me, audience, self._kept.transcript)
        self.troubles = Troubles(sign, self._transcript.notice)
        self._mouth = Mouth(self._voice, self._transcript, self._kept.recording, clock, self._show)
        self._diary = diary or Diary()
        self._news = News(call_id, self.troubles, self._mouth, self.notice, self._diary)
        self._paused = True
        self._opened = False
        self._caller = ""
        self._ready: Ready | None = None
        self.earlier_s = 0.0
        """How much of it an earlier job has had, known once its session is resumed."""
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
                    pumps.create_task(self._ear.fill()),
                    pumps.create_task(self._mouth.run()),
                    pumps.create_task(self._transcript.run()),
                    pumps.create_task(self._waits.tell(self._me, self._audience, self._id)),
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
                await self._transcript.finish()
        finally:
            self._news.close()
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

    async def hear(self, track: rtc.Track, change: Change = bytes, speaker: str = "") -> None:
        """Listen to a track until it ends. speaker: an identity, under which captions are written."""
        follow = self._captions.follow(track, speaker) if self._captions else asyncio.sleep(0)
        writing = asyncio.create_task(follow)
        try:
            await self._ear.hear(track, change)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def pause(self) -> None:
        """Nobody is there: the model's clock stands still, and its seat may go to somebody else."""
        self._paused = True
        self._ear.rest()
        self._mouth.rest()
        await self._link.pause()

    def go_on(self, *, anew: bool = True) -> None:
        """Somebody is there, for the first time or again: the model hears them, or silence. Not anew: they
        were there all the time, and could not be heard.
        """
        self._paused = False
        self._ear.expect(anew=anew)

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the voice: what it says before is lost."""
        await self._voice.heard()

    def is_with(self, identity: str) -> None:
        """It is this person's alone: shown to all, and to a job that takes over, once it may open."""
        self._caller = identity

    def open(self) -> None:
        """Let the model begin, once all is played that is announced by now."""
        if not self._opened:
            self._opened = True
            self._show()

    @property
    def is_held(self) -> bool:
        """Whether another job can go on with its session, once it has lost this one."""
        return self._link.is_held

    @property
    def track_sid(self) -> str:
        """The track on which it is heard, empty before there is one."""
        return self._voice.track_sid

    def idle_s(self, *, is_somebody_here: bool) -> float:
        """For how long nobody has said anything who could have. Who is there with a dead line could: else
        such a call would have no end.
        """
        if self._paused:
            return self._ear.idle_s(counted=self._opened and is_somebody_here)
        return self._ear.idle_s(counted=self._is_talking and self._link.is_open)

    def notice(self, text: str) -> None:
        """A line of text for whoever is there."""
        self._transcript.notice(text)

    def announce(self, clip: Clip) -> None:
        """Play a recording in the model's place: until its end nothing goes to the model or comes from it."""
        self._mouth.announce(clip)

    def summary(self) -> dict[str, Fact]:
        """What is worth a line in the log afterwards."""
        return {
            "session": self._link.session_id,
            **self._waits.summary(),
            **{name: count for name, count in asdict(self._counts()).items() if count},
            "left_out_ms": round(self._voice.left_out_s * 1000),
        }

    async def _ask(self) -> None:
        async for frame in self._ear:
            number = await self._link.turn()
            heard = self._ear.for_model(frame) if self._is_talking else None
            if heard is None:
                continue
            self._waits.begin(number, frame.arrived_at)
            if self._kept.recording:
                self._kept.recording.heard(heard)
            await self._link.send(heard)

    @property
    def _is_talking(self) -> bool:
        """Whether the model hears its callers now."""
        return self._opened and not (self._paused or self._mouth.is_announcing)

    async def _answer(self) -> None:
        try:
            async for event in self._link:
                match event:
                    case Audio():
                        self._diary.note_first(Event.FIRST_ANSWER)
                        self._waits.answered(event)
                        self._mouth.sound(event)
                    case Text(_frame, piece):
                        self._mouth.word(piece)
                    case Opened(ready) | Resumed(ready) | StartedAnew(ready):
                        self._begin(ready)
                        self._news.take(event)
                    case Interrupted():
                        self._mouth.rest()
                        self._news.take(event)
                    case Followed():
                        self._news.take(event)
            self.hang_up(Reason.ENGINE_ENDED)
        except EngineError as lost:
            if not self.is_over:
                self.hang_up(await self._news.over(lost))

    def _begin(self, ready: Ready) -> None:
        """There is a session, the first one or again."""
        if self._ready is None:
            self.earlier_s = ready.frame * FRAME_S
        self._waits.forget()
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
        if self._caller:
            self._sign.show(attributes.CALLER, self._caller)
        self.troubles.show_state(self._mouth.state)

    def _tell_voice(self, is_heard: bool) -> None:
        self._transcript.track_sid = self._voice.track_sid
        self._audience.heard()
        self._news.voice(is_heard)

    async def _report(self, played: Played) -> None:
        self._ear.agent_played(played)
        report = self._waits.end(played, self._ear.jitter_s, self._counts())
        if report is not None:
            await self._link.report(report)

    def _counts(self) -> SoundCounts:
        return self._ear.counts(self._voice.underruns)
