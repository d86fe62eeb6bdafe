"""A conversation of somebody's own `AgentSession` with the engine."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Never

from livekit import rtc
from livekit.agents import NOT_GIVEN, NotGivenOr, llm, utils

from engine.client import EngineClient
from engine.errors import EngineError
from engine.level import level_db
from engine.protocol import Audio, OwnWords, Ready, SessionRequest, Text
from engine.step.frames import FRAME_S
from worker.conversation.engine_link import (
    PATIENCE_S,
    EngineLink,
    Followed,
    Interrupted,
    Opened,
    Resumed,
    StartedAnew,
)
from worker.plugin.errors import api_error
from worker.plugin.gate import Marker
from worker.plugin.pieces import Pieces
from worker.plugin.usage import Usage
from worker.signs.agent_state import SpeechDetector, State
from worker.sound.frames_in import TOO_LATE_S, FramesIn

if TYPE_CHECKING:
    from worker.plugin.model import MoshiDuplexModel

log = logging.getLogger(__name__)

HANG_UP_TIMEOUT_S = 2.0

FORGOTTEN = "the model was started again, and remembers nothing of the conversation before"
NO_TOOLS = (
    "MoshiDuplexModel calls no function tools: Moshi hears and speaks, and reads nothing. "
    "Leave `tools` and methods with @function_tool out of the Agent"
)
NO_INSTRUCTIONS = "Moshi takes no instructions: they are not used"
NO_CONTEXT = "Moshi hears only sound: what the chat context holds is not told to it"


class MoshiDuplexSession(llm.DuplexSession[Never]):
    """Made by `MoshiDuplexModel.session`. The model's clock begins with the first sound that is pushed.

    From then on it hears silence where no sound comes. Errors are recoverable while the session is being
    brought back, and not once that was given up, or if the engine refuses what was asked for.
    """

    def __init__(
        self,
        model: "MoshiDuplexModel",
        engine: EngineClient,
        wanted: SessionRequest,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float],
    ) -> None:
        super().__init__(model)
        self._model = model
        self._engine = engine
        self._link = EngineLink(engine, wanted, patience_s=patience_s, clock=clock)
        self._clock = clock
        self._wall = wall
        self._pieces = Pieces()
        self._frames_in = FramesIn(clock=clock)
        self._hears_sound = False
        self._own_words: Callable[[], OwnWords | None] = lambda: None
        self._caller = SpeechDetector()
        self._marker = Marker()
        self._has_words = False
        self._usage = Usage(model.label, model.provider, wall)
        self._answers = utils.aio.Chan[llm.DuplexAudioFrame]()
        self._running = asyncio.create_task(self._run())

    @property
    def audio_stream(self) -> AsyncIterable[llm.DuplexAudioFrame]:
        """Every answer, silence included, on the clock of the engine's frames."""
        return self._answers

    @property
    def tools(self) -> llm.ToolContext:
        """None."""
        return llm.ToolContext.empty()

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """What the caller says."""
        if not self._hears_sound:
            self._hears_sound = True
            self._frames_in.expect()
        for pcm in self._pieces.push(frame):
            self._frames_in.put(pcm)

    def ask_for_words(self, own: Callable[[], OwnWords | None]) -> None:
        """With each frame that the model hears, `own` tells what it is to take for its own words."""
        self._own_words = own

    async def aclose(self) -> None:
        """Hang up, which frees the seat at once."""
        await super().aclose()
        if self._link.is_open:
            await self._link.end()
            await asyncio.wait([self._running], timeout=HANG_UP_TIMEOUT_S)
        await utils.aio.cancel_and_wait(self._running)
        # What is cancelled before it began has not closed them.
        self._answers.close()
        await self._link.close()
        await self._engine.close()

    @utils.log_exceptions(logger=log)
    async def _run(self) -> None:
        try:
            await self._configured.wait()
            if self._closing:
                return
            async with asyncio.TaskGroup() as pumps:
                hearing = [pumps.create_task(work) for work in (self._frames_in.fill(), self._ask())]
                await self._answer()
                for task in hearing:
                    task.cancel()
        finally:
            self._tell_usage()
            self._answers.close()

    async def _ask(self) -> None:
        async for frame in self._frames_in:
            self._follow_caller(frame.pcm)
            await self._link.turn()
            if self._clock() - frame.arrived_at > TOO_LATE_S:
                self._frames_in.late += 1
                continue
            self._usage.heard()
            await self._link.send(frame.pcm, self._own_words())

    async def _answer(self) -> None:
        began_at = self._clock()
        try:
            async for event in self._link:
                match event:
                    case Audio():
                        self._say(event)
                    case Text():
                        self._write(event)
                    case Opened(ready):
                        self._begin(ready, began_at)
                    case Resumed(ready):
                        self._begin(ready, began_at)
                        self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
                    case StartedAnew(ready):
                        self._begin(ready, began_at)
                        self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
                        self._tell_error(EngineError(FORGOTTEN), recoverable=True)
                    case Followed(_ready, to):
                        log.info("the conversation goes on elsewhere", extra={"engine": to})
                    case Interrupted(error):
                        began_at = self._clock()
                        self._marker, self._has_words = Marker(), False
                        self._tell_error(error, recoverable=True)
            if not self._closing:
                ended = EngineError("the engine ended the session: it went on over another connection")
                self._tell_error(ended, recoverable=False)
        except EngineError as lost:
            if not self._closing:
                self._tell_error(lost, recoverable=False)

    def _begin(self, ready: Ready, began_at: float) -> None:
        self._model.name = ready.model
        self._report_connection_acquired(self._clock() - began_at)

    def _say(self, answer: Audio) -> None:
        spoke = self._marker.speaks
        frame = self._marker.frame(answer)
        if self._marker.speaks:
            self._usage.said()
        elif spoke:
            self._has_words = False
            self._tell_usage()
        with suppress(utils.aio.ChanClosed):
            self._answers.send_nowait(llm.DuplexAudioFrame(frame, _milliseconds(answer.frame)))

    def _write(self, word: Text) -> None:
        self._marker.word()
        self._usage.word()
        # Pieces that begin a word begin with a space.
        text = word.piece if self._has_words else word.piece.lstrip()
        self._has_words = True
        delta = llm.DuplexOutputTranscriptDelta(text, _milliseconds(word.frame))
        self.emit("transcript_delta", delta)

    def _follow_caller(self, pcm: bytes) -> None:
        """Tell when they begin and cease to speak: to the framework that is whose turn it is."""
        before = self._caller.state
        self._caller.frame(level_db(pcm))
        if self._caller.state is not before:
            if self._caller.state is State.SPEAKING:
                self.emit("input_speech_started", llm.InputSpeechStartedEvent())
            else:
                stopped = llm.InputSpeechStoppedEvent(user_transcription_enabled=False)
                self.emit("input_speech_stopped", stopped)

    def _tell_usage(self) -> None:
        if self._link.session_id:
            self.emit("metrics_collected", self._usage.take(self._link.session_id, self._model.model))

    def _tell_error(self, error: EngineError, *, recoverable: bool) -> None:
        told = llm.RealtimeModelError(
            timestamp=self._wall(),
            label=self._model.label,
            error=api_error(error),
            recoverable=recoverable,
        )
        self.emit("error", told)

    async def _update_instructions(self, instructions: str) -> None:
        if self._configured.is_set():
            raise llm.RealtimeError(NO_INSTRUCTIONS)
        if instructions:
            log.warning(NO_INSTRUCTIONS)

    async def _append_items(self, items: list[llm.ChatItem]) -> None:
        if any(isinstance(item, llm.ChatMessage) for item in items):
            log.warning(NO_CONTEXT)

    async def _update_tools(self, tools: list[llm.Tool]) -> None:
        if tools:
            raise llm.RealtimeError(NO_TOOLS)

    def _update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """There are no tools to choose from."""


def _milliseconds(frame: int) -> int:
    return round(frame * FRAME_S * 1000)
