"""How a conversation begins: with a caller who hears the agent, and knows what they talk to."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from worker.conversation.sentences import NEW
from worker.room.disclosure import Disclosure
from worker.room.person import TELEPHONES, Person
from worker.sound.clips import ANEW, Clip

UNHEARD_S = 5.0
"""Who has not subscribed to the agent's track by then does not want to hear it, or cannot."""


class Greeting(Protocol):
    """A conversation that is about to begin."""

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the agent's track."""

    def notice(self, text: str) -> None:
        """A line of text."""

    def announce(self, clip: Clip) -> None:
        """A recording in the model's place."""

    def open(self) -> None:
        """Let the model begin, after what is announced. Again: nothing."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What callers are told, and who is. Whoever is told hears the clips, and gets the sentence as text.

    known: identities of those whom an earlier job of this call has welcomed; lost: of those who are told
    that this is a new conversation, for the one before has nobody who could bring it back.
    """

    who: Disclosure = Disclosure.OFF
    sentence: str = ""
    clips: tuple[Clip, ...] = ()
    known: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()

    async def to(self, person: Person, conversation: Greeting) -> None:
        """Once they can hear it. What is played before a track is subscribed to is lost."""
        await person.answered()
        try:
            async with asyncio.timeout(UNHEARD_S):
                await conversation.heard()
        except TimeoutError:
            pass
        if self._is_for(person):
            conversation.notice(self.sentence)
            for clip in self.clips:
                conversation.announce(clip)
        if person.identity in self.lost:
            conversation.notice(NEW)
            conversation.announce(ANEW)
        conversation.open()

    def knows(self, person: Person) -> bool:
        """Whether they were in the call before its job was lost."""
        return person.identity in self.known

    def _is_for(self, person: Person) -> bool:
        if self.knows(person):
            return False
        by_phone = person.participant.kind in TELEPHONES
        return self.who is Disclosure.ALL or (self.who is Disclosure.PHONE and by_phone)


NO_WELCOME = Welcome()
