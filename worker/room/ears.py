"""Hearing people: their microphones, for as long as there are any."""

import asyncio

from livekit import rtc

from worker.conversation.conversation import Conversation
from worker.room.person import Person
from worker.room.welcome import Welcome
from worker.signs.troubles import Trouble

MICROPHONE_S = 5.0
NO_MICROPHONE = "I hear no microphone of yours. Allow it, or choose another: until then I hear silence."
MICROPHONE = "I hear you now."


class Ears:
    """Of one conversation: welcomes and hears everybody whom it listens to."""

    def __init__(self, conversation: Conversation, welcome: Welcome) -> None:
        self._conversation = conversation
        self._welcome = welcome
        self._hearing: set[asyncio.Task[None]] = set()

    async def listen(self, person: Person) -> None:
        """Welcome them, and hear their microphone, again each time that they publish it; say where there is
        none.
        """
        person.listen()
        heard: rtc.Track | None = None
        async with asyncio.TaskGroup() as ears:
            ears.create_task(self._welcome.to(person, self._conversation))
            hearing: asyncio.Task[None] | None = None
            while True:
                try:
                    async with asyncio.timeout(MICROPHONE_S):
                        track = await person.track()
                except TimeoutError:
                    if hearing is None or hearing.done():
                        person.line_works(True)
                    if person.is_here and not self._hearing:
                        self._conversation.troubles.begin(Trouble.MICROPHONE, NO_MICROPHONE)
                    continue
                if track is heard and hearing is not None and not hearing.done():
                    continue
                if hearing is not None:
                    hearing.cancel()
                    await asyncio.wait([hearing])
                heard = track
                if track is not None:
                    self._conversation.troubles.end(Trouble.MICROPHONE, MICROPHONE)
                    hearing = ears.create_task(self._hear(person, track))
                    self._hearing.add(hearing)
                    hearing.add_done_callback(self._hearing.discard)

    async def _hear(self, person: Person, track: rtc.Track) -> None:
        watching = asyncio.create_task(person.watch_line(track))
        try:
            await self._conversation.hear(track, person.change, person.identity)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
