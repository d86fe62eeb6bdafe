"""Moshi beside somebody's own pipeline in an AgentSession of livekit-agents."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    ConversationItemAddedEvent,
    UserStateChangedEvent,
    get_job_context,
    utils,
)
from livekit.agents.llm import AgentHandoff

from worker.hybrid.companion import Companion
from worker.hybrid.conductor import Conductor
from worker.hybrid.floor import BRIDGE_S
from worker.hybrid.overheard import Overheard
from worker.hybrid.said_aloud import SaidAloud
from worker.hybrid.stage import Stage
from worker.hybrid.turn_times import TurnTimes
from worker.hybrid.words import overhearing
from worker.plugin.model import MoshiDuplexModel
from worker.signs.transcript import Transcript

log = logging.getLogger(__name__)


async def _nothing() -> None:
    pass


class Hybrid:
    """Moshi answers at once, the session's LLM answers well, and the caller hears one of them at a time.

    The session is the caller's own: recogniser, LLM, voice, tools, turns and interruptions as they are there.
    moshi: None for the session alone on the same track. bridge_s: for how long Moshi may speak while an
    answer is on its way; 0: never. own_words: Moshi takes answers for its own words, if its engine can.
    """

    def __init__(
        self,
        moshi: MoshiDuplexModel | None,
        *,
        bridge_s: float = BRIDGE_S,
        own_words: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._moshi = moshi
        self._own_words = own_words
        self._clock = clock
        self._conductor = Conductor(bridge_s)
        self._stage = Stage(self._conductor, clock)
        self._times = TurnTimes()
        self.said_aloud = SaidAloud()
        """What Moshi has said that was heard: the LLM reads it with what the caller says next."""
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    async def start(
        self,
        session: AgentSession[Any],
        agent: Agent,
        *,
        room: rtc.Room,
        first: Callable[[], Coroutine[Any, Any, None]] = _nothing,
        **options: Any,
    ) -> None:
        """Start the session in this room, with Moshi beside it; both end when the session closes, as it
        does where nothing can be played.

        first: what is done before Moshi hears and says anything; where it fails, the call goes on. options:
        as AgentSession.start takes them, but for an output of sound.
        """
        session.output.audio = self._stage
        session.on("user_state_changed", self._on_caller)
        session.on("agent_state_changed", self._on_agent)
        session.on("conversation_item_added", self._times.take)
        session.on("close", self._on_close)
        session.on("conversation_item_added", lambda event: self._on_item(event, session))
        if (job := get_job_context(required=False)) is not None:
            job.add_shutdown_callback(self.aclose)
        if self._moshi is not None and self._own_words:
            options = overhearing(options, self._conductor.own_voice.word)
        await session.start(agent, room=room, **options)
        me = room.local_participant
        self._start(self._play(me, session))
        if self._moshi is None or session.input.audio is None:
            self._start(_try(first))
            return
        transcript = Transcript(me, kept=self.said_aloud)
        companion = Companion(
            self._moshi, self._conductor, transcript, self._stage.wake, own_words=self._own_words
        )
        session.input.audio = Overheard(session.input.audio, companion.hear)
        self._start(_after(first, companion.run), transcript.run())

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the track."""
        await self._stage.heard()

    async def aclose(self) -> None:
        """Hang up with Moshi, and take the track back."""
        tasks, self._tasks = self._tasks, []
        await utils.aio.cancel_and_wait(*tasks)
        await self._stage.close()

    def _start(self, *pumps: Coroutine[Any, Any, None]) -> None:
        for pump in pumps:
            task = asyncio.create_task(pump)
            task.add_done_callback(_log_failure)
            self._tasks.append(task)

    async def _play(self, me: rtc.LocalParticipant, session: AgentSession[Any]) -> None:
        try:
            await self._stage.publish(me)
            await self._stage.run()
        except Exception:
            # Else its caller would hear nothing, for as long as they wait.
            log.exception("nothing can be played, and the session is closed")
            session.shutdown(drain=False)

    def _on_item(self, event: ConversationItemAddedEvent, session: AgentSession[Any]) -> None:
        if isinstance(event.item, AgentHandoff):
            self.said_aloud.tell(session.current_agent)

    def _on_caller(self, event: UserStateChangedEvent) -> None:
        self._conductor.caller(speaks=event.new_state == "speaking")

    def _on_agent(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "thinking":
            self._conductor.expect_answer(self._clock())
        else:
            self._conductor.expect_nothing()

    def _on_close(self, _event: CloseEvent) -> None:
        self._closing = asyncio.create_task(self.aclose())


async def _after(first: Callable[[], Awaitable[None]], then: Callable[[], Awaitable[None]]) -> None:
    await _try(first)
    await then()


async def _try(first: Callable[[], Awaitable[None]]) -> None:
    try:
        await first()
    except Exception:
        log.exception("the call goes on without its greeting")


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (failure := task.exception()):
        log.error("a part of the call has failed", exc_info=failure)
