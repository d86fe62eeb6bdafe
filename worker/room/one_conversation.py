"""One conversation in a room: with who came first, or with everybody."""

import asyncio
import logging

from worker.conversation.conversation import Conversation
from worker.room import idle
from worker.room.ears import Ears
from worker.room.people import Arrived, Away, Back, Change, Left
from worker.room.person import Person
from worker.room.reasons import Reason
from worker.room.welcome import Welcome
from worker.watching.diary import Fact

log = logging.getLogger(__name__)


class OneConversation:
    """`take` what happens in the room, and `run` meanwhile. everybody: all are heard, else the first alone.

    It is paused while nobody is there of those whom it listens to, and over when they have left. awaited: the
    first one of an earlier job of this call, whose conversation nobody else gets.
    """

    def __init__(
        self,
        call_id: str,
        conversation: Conversation,
        welcome: Welcome,
        *,
        everybody: bool,
        idle_s: float,
        awaited: str = "",
    ) -> None:
        self._id = call_id
        self._conversation = conversation
        self._everybody = everybody
        self._awaited = awaited
        self._idle_s = idle_s
        self._ears = Ears(conversation, welcome)
        self._listening: dict[Person, asyncio.Task[None]] = {}
        self._away: set[Person] = set()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> Reason:
        """Converse until it is over; the reason."""
        async with asyncio.TaskGroup() as self._tasks:
            watching = self._tasks.create_task(self._watch_idle())
            reason = await self._conversation.run()
            for task in (watching, *self._listening.values()):
                task.cancel()
        return reason

    async def take(self, change: Change) -> None:
        """Something has happened in the room."""
        match change:
            case Arrived(person) if not self.is_over and self._is_for(person):
                assert self._tasks is not None
                if not self._everybody:
                    self._conversation.is_with(person.identity)
                self._listening[person] = self._tasks.create_task(self._ears.listen(person))
                self._conversation.go_on()
                self._conversation.troubles.tell_again()
            case Away(person) if person in self._listening:
                log.info("caller away", extra={"call": self._id})
                self._away.add(person)
                await self._pause_if_alone()
            case Back(person, was_gone) if person in self._listening:
                log.info("caller back", extra={"call": self._id})
                self._away.discard(person)
                self._conversation.go_on(anew=was_gone)
                self._conversation.troubles.tell_again()
            case Left(person) if person in self._listening:
                self._listening.pop(person).cancel()
                self._away.discard(person)
                if self._listening:
                    await self._pause_if_alone()
                else:
                    self.hang_up(Reason.CALLER_LEFT)

    @property
    def is_with_somebody(self) -> bool:
        """Whether it listens to anybody, who may be away."""
        return bool(self._listening)

    @property
    def is_held(self) -> bool:
        """Whether another job can go on with it."""
        return self._conversation.is_held

    def hang_up(self, reason: Reason) -> None:
        """End it; the first reason counts."""
        self._conversation.hang_up(reason)

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is about to."""
        return self._conversation.is_over

    @property
    def earlier_s(self) -> float:
        """How much of it an earlier job has had, as far as is known by now."""
        return self._conversation.earlier_s

    def notice(self, text: str) -> None:
        """A line of text for whoever is there."""
        self._conversation.notice(text)

    def summary(self) -> dict[str, Fact]:
        """What is worth a line in the log afterwards."""
        return self._conversation.summary()

    def _is_for(self, person: Person) -> bool:
        return self._everybody or (not self._listening and self._awaited in ("", person.identity))

    async def _pause_if_alone(self) -> None:
        if self._away.issuperset(self._listening):
            await self._conversation.pause()

    async def _watch_idle(self) -> None:
        await idle.watch(self._silent_s, self._idle_s, self._conversation.notice)
        self.hang_up(Reason.IDLE)

    def _silent_s(self) -> float:
        return self._conversation.idle_s(is_somebody_here=any(each.is_here for each in self._listening))
