"""One call of the ready-made worker in which an LLM answers, with Moshi or without."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, UserStateChangedEvent, room_io
from livekit.agents.llm import ChatMessage

from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.hybrid.hybrid import Hybrid
from worker.hybrid.written import Written
from worker.keeping.kept import Kept
from worker.room import idle, reasons
from worker.room.call import CallLimits
from worker.room.idle import Idle
from worker.room.people import Arrived, Away, Back, Left, People
from worker.room.person import Person
from worker.room.reasons import Reason
from worker.room.welcome import Welcome
from worker.signs import transcript
from worker.sound.clips import Clip
from worker.watching.diary import Diary, Event, Fact

log = logging.getLogger(__name__)

FRAME_MS = 20
"""The caller's sound in pieces that the recogniser need not wait for. Moshi takes four of them at a time."""


class HybridCall:
    """Build it as soon as the room is connected, and `run` it. The caller is who comes first."""

    is_held = False
    """Nothing of it can be brought back by another job."""

    def __init__(
        self,
        call_id: str,
        room: rtc.Room,
        hybrid: Hybrid,
        session: AgentSession[Any],
        instructions: str,
        limits: CallLimits,
        welcome: Welcome,
        diary: Diary | None = None,
        kept: Kept | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id = call_id
        self._room = room
        self._hybrid = hybrid
        self._session = session
        self._instructions = instructions
        self._limits = limits
        self._welcome = welcome
        self._diary = diary or Diary()
        self._kept = kept or Kept()
        self._clock = clock
        self._people = People(room, limits.grace_s)
        self._caller: Person | None = None
        self._arrived = asyncio.Event()
        self._idle = Idle(clock())
        self.is_awaited = False
        """Whether the caller is there, may speak, and does not."""
        self._over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        room.on("disconnected", lambda reason: self.hang_up(reasons.of_disconnect(reason)))
        session.on("close", lambda _event: self.hang_up(Reason.FAILED))
        session.on("user_state_changed", self._on_caller)
        session.on("conversation_item_added", self._on_words)

    async def run(self) -> Reason:
        """Converse with who comes until the call is over; the reason."""
        began_at = self._clock()
        reason = Reason.FAILED
        self._diary.note(Event.JOINED)
        try:
            async with asyncio.TaskGroup() as tasks:
                watches = (self._watch_people(), self._watch_time(), self._watch_idle())
                others = [tasks.create_task(watch) for watch in watches]
                reason = await asyncio.shield(self._over)
                for task in others:
                    task.cancel()
        except asyncio.CancelledError:
            reason = Reason.WORKER_STOPPED
            raise
        finally:
            await self._hybrid.aclose()
            await self._session.aclose()
            await asyncio.to_thread(self._kept.close)
            ended: dict[str, Fact] = {"reason": str(reason), "seconds": round(self._clock() - began_at, 1)}
            log.info("call ended", extra={"call": self._id, **ended})
            self._diary.note(Event.ENDED, **ended)
        return reason

    def hang_up(self, reason: Reason) -> None:
        """End the call; the first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended or is about to."""
        return self._over.done()

    @property
    def silent_s(self) -> float:
        """For how long the caller has said and typed nothing, while somebody waited for it."""
        return self._idle.for_s(self._clock()) if self.is_awaited else 0.0

    async def _watch_people(self) -> None:
        async for change in self._people.changes():
            match change:
                case Arrived(person) if self._caller is None:
                    self._caller = person
                    self._arrived.set()
                    self._diary.note(Event.CALLER_CAME)
                    await self._begin(person)
                case Away(person) if person is self._caller:
                    self.is_awaited = False
                case Back(person) if person is self._caller:
                    self._await_words()
                case Left(person) if person is self._caller:
                    self.hang_up(Reason.CALLER_LEFT)

    async def _begin(self, person: Person) -> None:
        log.info("call began", extra={"call": self._id})
        person.listen()
        options = room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(
                frame_size_ms=FRAME_MS, pre_connect_audio=False, auto_gain_control=False
            ),
            participant_identity=person.identity,
            # Whoever reloads a page comes back.
            close_on_disconnect=False,
        )
        await self._hybrid.start(
            self._session,
            Agent(instructions=self._instructions),
            room=self._room,
            room_options=options,
            record=False,
            first=lambda: self._greet(person),
        )

    async def _greet(self, person: Person) -> None:
        told = _Told(self._hybrid, self._kept)
        await self._welcome.to(person, told)
        if told.clips:
            saying = self._session.say(
                " ".join(told.sentences),
                audio=told.sound(),
                allow_interruptions=False,
                add_to_chat_ctx=False,
            )
            await saying.wait_for_playout()
        self._await_words()

    async def _watch_time(self) -> None:
        try:
            async with asyncio.timeout(self._limits.arrival_s):
                await self._arrived.wait()
        except TimeoutError:
            self.hang_up(Reason.NOBODY_CAME)
            return
        notice_s = min(self._limits.notice_s, self._limits.max_s)
        await asyncio.sleep(self._limits.max_s - notice_s)
        notice = f"This call ends in {notice_s:g} seconds."
        await self._tell(notice)
        await asyncio.sleep(notice_s)
        self.hang_up(Reason.MAX_TIME)

    async def _watch_idle(self) -> None:
        async with asyncio.TaskGroup() as telling:

            def tell(notice: str) -> None:
                telling.create_task(self._tell(notice))

            await idle.watch(lambda: self.silent_s, self._limits.idle_s, tell)
        self.hang_up(Reason.IDLE)

    def _await_words(self) -> None:
        self._idle.begin(self._clock())
        self.is_awaited = True

    def _on_caller(self, event: UserStateChangedEvent) -> None:
        # They also become "away" where they say nothing.
        if "speaking" in (event.old_state, event.new_state):
            self._idle.begin(self._clock())
            self.is_awaited = event.new_state != "speaking"

    def _on_words(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and event.item.role == "user":
            self._idle.begin(self._clock())
        if self._kept.transcript:
            Written(self._kept.transcript).take(event)

    async def _tell(self, notice: str) -> None:
        if self._kept.transcript:
            self._kept.transcript.notice(notice)
        try:
            await self._room.local_participant.send_text(notice, topic=transcript.TOPIC)
        except Exception:
            # The SDK has no narrower error. A line that nobody can read must not end a call.
            log.warning("a notice was lost", exc_info=True)


class _Told:
    """What a caller is greeted with, see `worker/room/welcome.py`. Until it is said, Moshi is not there."""

    def __init__(self, hybrid: Hybrid, kept: Kept) -> None:
        self.sentences: list[str] = []
        self.clips: list[Clip] = []
        self._hybrid = hybrid
        self._kept = kept

    async def heard(self) -> None:
        await self._hybrid.heard()

    def notice(self, text: str) -> None:
        self.sentences.append(text)
        if self._kept.transcript:
            self._kept.transcript.notice(text)

    def announce(self, clip: Clip) -> None:
        self.clips.append(clip)

    def open(self) -> None:
        """Whoever greets lets Moshi begin."""

    async def sound(self) -> AsyncIterator[rtc.AudioFrame]:
        for clip in self.clips:
            for pcm in await asyncio.to_thread(getattr, clip, "frames"):
                yield rtc.AudioFrame(pcm, SAMPLE_RATE, 1, FRAME_SAMPLES)
