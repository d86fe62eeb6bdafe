"""A session, a sound card and a screen, and the pumps between them."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

from engine.client import EngineSession
from engine.errors import EngineUnreachable, error_from_wire
from engine.level import level_db
from engine.protocol import Audio, Ended, Failure, Text
from engine.step.frames import FRAME_S
from engine.talk.latency import Latency
from engine.talk.microphone import Microphone
from engine.talk.playout import Playout
from engine.talk.screen import Screen, bar
from engine.talk.sound_card import Hear, Play

PARTING_S = 2.0
"""How long an engine may take to answer a hang-up."""
_PAUSE_FRAMES = round(1.0 / FRAME_S)

OpenCard = Callable[[Hear, Play], AbstractContextManager[None]]


class Conversation:
    """One session from its first sample to its end. `latency` is that of its answers."""

    def __init__(self, session: EngineSession, screen: Screen) -> None:
        self.latency = Latency()
        self._session = session
        self._screen = screen
        self._playout = Playout()
        self._your_db = -math.inf
        self._spoke_at = 0

    async def run(self, open_card: OpenCard, hang_up: asyncio.Event) -> str:
        """Talk until `hang_up` is set or the engine ends it; why it ended, as in `Ended`.

        Raises what the engine says went wrong, and EngineUnreachable when it is lost.
        """
        microphone = Microphone()
        with open_card(microphone.hear, self._playout.take):
            listening = asyncio.create_task(self._listen())
            speaking = asyncio.create_task(self._speak(microphone))
            parting = asyncio.create_task(self._part(hang_up))
            pumps = (listening, speaking, parting)
            try:
                done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in done:
                    pump.result()
                return listening.result() if listening in done else "hang_up"
            except EngineUnreachable:
                if hang_up.is_set():
                    return "hang_up"
                raise
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _speak(self, microphone: Microphone) -> None:
        while True:
            pcm = await microphone.next()
            self._your_db = max(self._your_db, level_db(pcm))
            # Counted first: the answer may be back before `send` is.
            self.latency.sent(len(pcm) // 2)
            await self._session.send(pcm)

    async def _listen(self) -> str:
        async for event in self._session:
            match event:
                case Audio():
                    self._playout.put(event.pcm)
                    self.latency.answered()
                    self._show(level_db(event.pcm))
                case Text():
                    self._say(event)
                case Failure():
                    raise error_from_wire({"error": event.code, "message": event.message})
                case Ended():
                    return event.reason
        raise AssertionError("a session ends with Ended, or with an error")

    async def _part(self, hang_up: asyncio.Event) -> None:
        await hang_up.wait()
        await self._session.end()
        await asyncio.sleep(PARTING_S)

    def _say(self, text: Text) -> None:
        # A mark ends its sentence, however late it comes.
        if text.piece.startswith(" ") and text.frame - self._spoke_at > _PAUSE_FRAMES:
            self._screen.pause()
        self._spoke_at = text.frame
        self._screen.word(text.piece)

    def _show(self, its_db: float) -> None:
        model = self._session.ready.model
        self._screen.status(f"you {bar(self._your_db)}  {model} {bar(its_db)}  answers {self.latency}")
        self._your_db = -math.inf
