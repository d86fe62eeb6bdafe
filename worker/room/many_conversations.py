"""A conversation with each person in a room, of which the others hear and read nothing."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection
from contextlib import suppress

from livekit import rtc
from livekit.rtc.participant import UnpublishTrackError

from worker.conversation.conversation import Conversation
from worker.conversation.sentences import NEW, OVER
from worker.phones.switchboard import Switchboard
from worker.room import idle
from worker.room.audience import Audience
from worker.room.ears import Ears
from worker.room.people import Arrived, Away, Back, Change, Left
from worker.room.person import Person
from worker.room.reasons import Reason, is_for_good
from worker.room.welcome import Welcome
from worker.signs.attributes import Sign
from worker.signs.shared_sign import Part, SharedSign
from worker.signs.transcript import Transcript
from worker.watching.diary import Fact

log = logging.getLogger(__name__)

Begin = Callable[[str, Sign, Audience], Conversation]
"""Makes a conversation: the name of its seat, where it shows its state, who hears it."""


class ManyConversations:
    """`take` what happens in the room, and `run` meanwhile; over when the last conversation is.

    The first person takes the seat that was reserved for the call. Each other needs one of their own, and is
    told when there is none. held: seats of an earlier job of this call whose sessions are brought back.
    Nobody knows who was first in it: the reserved seat is nobody's then, and who has lost theirs is told.
    """

    def __init__(
        self,
        call_id: str,
        me: rtc.LocalParticipant,
        sign: Sign,
        begin: Begin,
        welcome: Welcome,
        *,
        idle_s: float,
        held: Collection[str],
        switchboard: Switchboard,
    ) -> None:
        self._id = call_id
        self._me = me
        self._sign = SharedSign(sign)
        self._begin = begin
        self._welcome = welcome
        self._idle_s = idle_s
        self._held = held
        self._switchboard = switchboard
        self._begun = 0
        self._live: dict[Person, Conversation] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._is_held = False
        self._over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()

    async def run(self) -> Reason:
        """Converse until it is over; the reason."""
        # Before there is a track: what may be subscribed to is at first heard by all.
        self._permit()
        async with asyncio.TaskGroup() as self._tasks:
            return await asyncio.shield(self._over)

    async def take(self, change: Change) -> None:
        """Something has happened in the room."""
        match change:
            case Arrived(person) | Back(person) if not self.is_over and person not in self._live:
                assert self._tasks is not None
                sign, seat = self._sign.part(), self._seat(person)
                audience = Audience(person.identity, self._permit)
                self._live[person] = self._begin(seat, sign, audience)
                self._begun += 1
                if self._welcome.knows(person) and seat not in self._held:
                    self._live[person].notice(NEW)
                self._tasks.create_task(self._converse(person, sign))
            case Away(person) if person in self._live:
                await self._live[person].pause()
            case Back(person, was_gone) if person in self._live:
                self._live[person].go_on(anew=was_gone)
                self._live[person].troubles.tell_again()
            case Left(person) if person in self._live:
                self._live[person].hang_up(Reason.CALLER_LEFT)

    @property
    def is_with_somebody(self) -> bool:
        """Whether there is a conversation, with somebody who may be away."""
        return bool(self._live)

    @property
    def is_held(self) -> bool:
        """Whether another job can go on with one that is on, or with the last one that failed."""
        return self._is_held or any(conversation.is_held for conversation in self._live.values())

    def hang_up(self, reason: Reason) -> None:
        """End it; the first reason counts."""
        for conversation in self._live.values():
            conversation.hang_up(reason)
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is about to."""
        return self._over.done()

    @property
    def earlier_s(self) -> float:
        """How much of the longest one an earlier job has had, as far as is known by now."""
        return max((conversation.earlier_s for conversation in self._live.values()), default=0.0)

    def notice(self, text: str) -> None:
        """A line of text for everybody."""
        for conversation in self._live.values():
            conversation.notice(text)

    def summary(self) -> dict[str, Fact]:
        """What is worth a line in the log afterwards."""
        return {"conversations": self._begun}

    def _seat(self, person: Person) -> str:
        reserved = not self._begun and not self._held
        return self._id if reserved else f"{self._id}-{_digest(person.identity)}"

    async def _converse(self, person: Person, sign: Part) -> None:
        conversation = self._live[person]
        conversation.go_on()
        ears = Ears(conversation, self._welcome)
        reason = Reason.FAILED
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(ears.listen(person)),
                    tasks.create_task(self._watch_idle(person, conversation)),
                ]
                reason = await conversation.run()
                for task in others:
                    task.cancel()
        except Exception:
            # Those of the others have nothing to do with it, and go on.
            log.exception("a conversation failed", extra={"call": self._id})
            self._is_held = conversation.is_held
            await self._tell_over(person)
        log.info(
            "conversation ended", extra={"call": self._id, "reason": str(reason), **conversation.summary()}
        )
        del self._live[person]
        self._sign.remove(sign)
        self._permit()
        if conversation.track_sid:
            with suppress(UnpublishTrackError):
                await self._me.unpublish_track(conversation.track_sid)
        # The last one's failure is the call's: another job may take over. Else the others go on without them.
        for_good = is_for_good(reason, are_brought_back=not self._live)
        if not self._live:
            self.hang_up(reason)
        if person.handset and for_good and reason is not Reason.CALLER_LEFT:
            # Their call would go on in silence: whoever else is in the room is no company of theirs.
            await self._switchboard.hang_up(person.identity)

    async def _tell_over(self, person: Person) -> None:
        """In place of a conversation that cannot say so any more."""
        transcript = Transcript(self._me, Audience(person.identity))
        transcript.notice(OVER)
        await transcript.finish()

    async def _watch_idle(self, person: Person, conversation: Conversation) -> None:
        def silent_s() -> float:
            return conversation.idle_s(is_somebody_here=person.is_here)

        await idle.watch(silent_s, self._idle_s, conversation.notice)
        conversation.hang_up(Reason.IDLE)

    def _permit(self) -> None:
        """Let everybody subscribe to the answers that are theirs."""
        self._me.set_track_subscription_permissions(
            allow_all_participants=False,
            participant_permissions=[
                rtc.ParticipantTrackPermission(
                    participant_identity=person.identity, allowed_track_sids=[conversation.track_sid]
                )
                for person, conversation in self._live.items()
                if conversation.track_sid
            ],
        )


def _digest(identity: str) -> str:
    """Names of people stay out of URLs, which are logged."""
    return hashlib.sha256(identity.encode()).hexdigest()[:12]
