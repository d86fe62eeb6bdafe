"""One call: one room, how long it may last, and what is said in it with whom."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from livekit import rtc

from engine.client import EngineClient
from engine.protocol import SessionRequest
from worker.conversation.conversation import Conversation
from worker.conversation.engine_link import PATIENCE_S, EngineLink
from worker.keeping.kept import NOTHING, Keeping
from worker.phones.keypad import NO_KEYS, Keypad, Keys
from worker.room import reasons
from worker.room.audience import EVERYBODY, Audience
from worker.room.many_conversations import ManyConversations
from worker.room.one_conversation import OneConversation
from worker.room.people import Arrived, Away, Back, Change, People
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy
from worker.room.welcome import NO_WELCOME, Welcome
from worker.room.wishes import Wishes
from worker.signs.attributes import NOTICE_TEXT, Attributes, Sign, at_once
from worker.signs.captions import Captions, Opening
from worker.watching.diary import Diary, Event, Fact

log = logging.getLogger(__name__)

NOTICE_S = 60.0
ARRIVAL_S = 60.0
GRACE_S = 15.0
_LOOK_S = 5.0
NOTHING_LOST: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds: that a call may last, from when before its end the caller is told, to wait for a caller at
    first, for one who is gone, for one who says nothing (0: for ever), and for an engine.
    """

    max_s: float
    notice_s: float = NOTICE_S
    arrival_s: float = ARRIVAL_S
    grace_s: float = GRACE_S
    idle_s: float = 0.0
    engine_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class CallManner:
    """Whom the model listens to, and whether it does while it can be heard; what callers are told, at first
    and by the attribute `moshi.notice`; what is kept; what the keys of telephones do. awaited: the
    identity of whom an earlier job of this call listened to, if that was one person alone. captions: where
    callers are written down, if they are.
    """

    policy: RoomPolicy = RoomPolicy.FIRST
    half_duplex: bool = False
    welcome: Welcome = NO_WELCOME
    notice: str = NOTICE_TEXT
    keeping: Keeping = NOTHING
    keys: Keys = NO_KEYS
    awaited: str = ""
    captions: Opening | None = None


class Call:
    """Build it as soon as the room is connected, and `run` it.

    resume: the tokens of the sessions that an earlier job of this room has lost, by seat. Cancelling `run`
    hangs nothing up: the engine sees a lost connection, and holds the session.
    """

    def __init__(
        self,
        call_id: str,
        room: rtc.Room,
        engine: EngineClient,
        limits: CallLimits,
        wishes: Wishes | None = None,
        resume: Mapping[str, str] = NOTHING_LOST,
        clock: Callable[[], float] = time.monotonic,
        manner: CallManner = CallManner(),
        diary: Diary | None = None,
    ) -> None:
        self._id = call_id
        self._room = room
        self._engine = engine
        self._limits = limits
        self._wishes = wishes or Wishes(SessionRequest())
        self._resume = resume
        self._manner = manner
        self._clock = clock
        self._diary = diary or Diary()
        self._people = People(room, limits.grace_s)
        self._keypad = Keypad(room, manner.keys, self._people.handset)
        self._arrived = asyncio.Event()
        self._sign = Attributes(room.local_participant, at_once(manner.notice))
        self._talk = self._make_talk()
        room.on("disconnected", self._on_disconnected)
        room.on("reconnected", self._on_reconnected)

    async def run(self) -> Reason:
        """Converse with who comes until the call is over; the reason."""
        began_at = self._clock()
        reason = Reason.FAILED
        self._diary.note(Event.JOINED)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(self._watch_people()),
                    tasks.create_task(self._watch_time()),
                    tasks.create_task(self._sign.run()),
                    tasks.create_task(self._keypad.run()),
                ]
                reason = await self._talk.run()
                for task in others:
                    task.cancel()
        except asyncio.CancelledError:
            reason = Reason.WORKER_STOPPED
            raise
        finally:
            summary = self._summary(began_at, reason)
            log.info("call ended", extra={"call": self._id, **summary})
            self._diary.note(Event.ENDED, **summary)
        return reason

    def hang_up(self, reason: Reason) -> None:
        """End the call; the first reason counts."""
        self._talk.hang_up(reason)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended or is about to."""
        return self._talk.is_over

    @property
    def is_held(self) -> bool:
        """Whether the engine holds what another job can go on with."""
        return self._talk.is_held

    def _make_talk(self) -> OneConversation | ManyConversations:
        policy, welcome, idle_s = self._manner.policy, self._manner.welcome, self._limits.idle_s
        if policy is RoomPolicy.EACH:
            me = self._room.local_participant
            return ManyConversations(
                self._id,
                me,
                self._sign,
                self._converse,
                welcome,
                idle_s=idle_s,
                held=self._resume,
                switchboard=self._manner.keys.switchboard,
            )
        conversation = self._converse(self._id, self._sign, EVERYBODY)
        everybody = policy is RoomPolicy.MIX
        return OneConversation(
            self._id,
            conversation,
            welcome,
            everybody=everybody,
            idle_s=idle_s,
            awaited=self._manner.awaited,
        )

    def _converse(self, seat: str, sign: Sign, audience: Audience) -> Conversation:
        me = self._room.local_participant.identity
        # The engine gives the session back to nobody else.
        wanted = SessionRequest(seat=seat, room=self._room.name, identity=me)
        resume = self._resume.get(seat, "")

        async def choose() -> SessionRequest:
            if audience is EVERYBODY:
                return await self._wishes.of_first()
            return self._wishes.of_caller(self._people.participant(audience.identity))

        opening, participant = self._manner.captions, self._room.local_participant
        link = EngineLink(self._engine, wanted, resume, self._limits.engine_s, self._clock, choose)
        return Conversation(
            self._id,
            self._room,
            link,
            sign,
            self._clock,
            audience=audience,
            half_duplex=self._manner.half_duplex,
            kept=self._manner.keeping.of(seat),
            diary=self._diary,
            captions=Captions(participant, opening, audience) if opening else None,
        )

    async def _watch_people(self) -> None:
        async for change in self._people.changes():
            self._note(change)
            if isinstance(change, Arrived):
                self._wishes.came(change.person.participant)
            await self._talk.take(change)
            if self._talk.is_with_somebody:
                self._arrived.set()

    async def _watch_time(self) -> None:
        try:
            # Python 3.11's wait_for loses a cancellation that comes together with the caller.
            async with asyncio.timeout(self._limits.arrival_s):
                await self._arrived.wait()
        except TimeoutError:
            self.hang_up(Reason.CALLER_LEFT if self._manner.awaited else Reason.NOBODY_CAME)
            return
        began_at = self._clock()
        notice_s = min(self._limits.notice_s, self._limits.max_s)
        # What an earlier job has had of it is known only once its session is resumed.
        left_s = self._limits.max_s - notice_s
        while left_s > 0:
            await asyncio.sleep(min(left_s, _LOOK_S))
            passed_s = self._clock() - began_at + self._talk.earlier_s
            left_s = self._limits.max_s - notice_s - passed_s
        self._talk.notice(f"This call ends in {notice_s:g} seconds.")
        await asyncio.sleep(notice_s)
        self.hang_up(Reason.MAX_TIME)

    def _note(self, change: Change) -> None:
        match change:
            case Arrived():
                self._diary.note(Event.CALLER_CAME)
            case Away():
                self._diary.note(Event.CALLER_AWAY)
            case Back():
                self._diary.note(Event.CALLER_BACK)

    def _on_reconnected(self) -> None:
        self._diary.note(Event.ROOM_RECONNECTED)
        self._sign.show_again()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.hang_up(reasons.of_disconnect(reason))

    def _summary(self, began_at: float, reason: Reason) -> dict[str, Fact]:
        times: dict[str, Fact] = {"reason": str(reason), "seconds": round(self._clock() - began_at, 1)}
        return times | self._diary.summary() | self._talk.summary()
