"""Moshi as a service of Pipecat: `Pipeline([transport.input(), MoshiService(), transport.output()])`."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMServiceMetadataFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    StartFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from engine.client import EngineClient
from engine.errors import EngineError
from engine.level import level_db
from engine.protocol import Audio, Ready, Text
from worker.conversation.engine_link import (
    PATIENCE_S,
    EngineLink,
    Followed,
    Interrupted,
    Opened,
    Resumed,
    StartedAnew,
)
from worker.engine_choice import choose_engine
from worker.pipecat.errors import category
from worker.pipecat.pieces import Pieces
from worker.pipecat.speech import Speech
from worker.signs.agent_state import SpeechDetector, State
from worker.sound.frames_in import TOO_LATE_S, FramesIn

HANG_UP_TIMEOUT_S = 2.0

FORGOTTEN = "the model was started again, and remembers nothing of the conversation before"
TAKEN_OVER = "the engine ended the session: it went on over another connection"
READS_NOTHING = "Moshi hears only sound: what a {} holds is not told to it"


class MoshiService(AIService):
    """A full-duplex model that an engine serves.

    Its session lasts from StartFrame to EndFrame or CancelFrame. The model's clock begins with the first
    sound of the pipeline; from then on it hears silence where no sound comes. Errors are permanent once the
    session was given up, or refused for what was asked for.

    engine_url, engine_token, engine_peers: the engine, as ENGINE_URL, ENGINE_TOKEN and ENGINE_PEERS say where
    they are left out (environment, then `.env.local`). temperature to prompt: the session's parameters as in
    docs/protocol.md; left out, the engine's own, and a random seed. patience_s: how long a session is looked
    for, at the beginning or when it was lost, before it is given up. more: of Pipecat's AIService.

    Events: `on_connected`, `on_reconnected` and `on_disconnected`, each with the session's id. Raises
    SettingError for the engine's address, SessionError for a parameter out of its range.
    """

    def __init__(
        self,
        *,
        engine_url: str | None = None,
        engine_token: str | None = None,
        engine_peers: str | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        temperature_text: float | None = None,
        top_k_text: int | None = None,
        seed: int | None = None,
        voice: str | None = None,
        prompt: str | None = None,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        **more: Any,
    ) -> None:
        super().__init__(settings=ServiceSettings(model=None), **more)
        self._choice = choose_engine(
            "MoshiService",
            {"engine_url": engine_url, "engine_token": engine_token, "engine_peers": engine_peers},
            {
                "temperature": temperature,
                "top_k": top_k,
                "temperature_text": temperature_text,
                "top_k_text": top_k_text,
                "seed": seed,
                "voice": voice,
                "prompt": prompt,
            },
        )
        self._patience_s = patience_s
        self._clock = clock
        self._pieces = Pieces()
        self._frames_in = FramesIn(clock=clock)
        self._hears_sound = False
        self._caller = SpeechDetector()
        self._speech = Speech()
        self._unread: set[str] = set()
        self._is_connected = False
        self._engine: EngineClient | None = None
        self._running: asyncio.Task[None] | None = None
        for event in ("on_connected", "on_reconnected", "on_disconnected"):
            self._register_event_handler(event)

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        """Whoever goes by this interrupts nobody: the model decides who speaks when."""
        return LLMServiceMetadataFrame(
            service_name=self.name,
            is_realtime_service=True,
            user_turn_strategies=ExternalUserTurnStrategies(enable_interruptions=False),
        )

    async def start(self, frame: StartFrame) -> None:
        """Open the session, which takes a seat."""
        await super().start(frame)
        self._engine = self._choice.open()
        self._link = EngineLink(
            self._engine, self._choice.wanted, patience_s=self._patience_s, clock=self._clock
        )
        self._running = self.create_task(self._run())

    async def stop(self, frame: EndFrame) -> None:
        """Hang up, which frees the seat at once."""
        await super().stop(frame)
        await self._hang_up()

    async def cancel(self, frame: CancelFrame) -> None:
        """Hang up, which frees the seat at once."""
        await super().cancel(frame)
        await self._hang_up()

    async def cleanup(self) -> None:
        """Hang up if nothing else has."""
        await super().cleanup()
        await self._hang_up()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hear sound; pass on all but what is for a language model to read."""
        await super().process_frame(frame, direction)
        match frame:
            case LLMContextFrame():
                if any(_role(message) != "assistant" for message in frame.context.get_messages()):
                    self._tell_unread(frame)
                return
            case TTSSpeakFrame():
                self._tell_unread(frame)
                return
            case InputAudioRawFrame():
                await self._hear(frame)
        await self.push_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._push(self._speech.interrupted())

    async def _hear(self, frame: InputAudioRawFrame) -> None:
        if not self._hears_sound:
            self._hears_sound = True
            self._frames_in.expect()
        for pcm in await self._pieces.push(frame):
            self._frames_in.put(pcm)

    async def _hang_up(self) -> None:
        running, self._running = self._running, None
        if running is None or self._engine is None:
            return
        if self._link.is_open:
            await self._link.end()
            await asyncio.wait([running], timeout=HANG_UP_TIMEOUT_S)
        await self.cancel_task(running)
        await self._push(self._speech.end())
        await self._link.close()
        await self._engine.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as pumps:
            hearing = [pumps.create_task(work) for work in (self._frames_in.fill(), self._ask())]
            await self._answer()
            for task in hearing:
                task.cancel()

    async def _ask(self) -> None:
        async for frame in self._frames_in:
            await self._follow_caller(frame.pcm)
            await self._link.turn()
            if self._clock() - frame.arrived_at > TOO_LATE_S:
                self._frames_in.late += 1
                continue
            await self._link.send(frame.pcm)

    async def _answer(self) -> None:
        try:
            async for event in self._link:
                match event:
                    case Audio():
                        await self._push(self._speech.sound(event))
                    case Text():
                        await self._push(self._speech.word(event))
                    case Opened(ready):
                        await self._begin(ready, "on_connected")
                    case Resumed(ready):
                        await self._begin(ready, "on_reconnected")
                    case StartedAnew(ready):
                        await self._begin(ready, "on_reconnected")
                        await self.push_error(FORGOTTEN)
                    case Followed(_ready, to):
                        logger.info("{}: the conversation goes on at the engine {}", self, to)
                    case Interrupted(error):
                        await self._lose(error)
            if self._running is not None:
                await self.push_error(TAKEN_OVER, force_treat_as_permanent=True)
        except EngineError as lost:
            if self._running is not None:
                await self.push_error(
                    str(lost), exception=lost, category=category(lost), force_treat_as_permanent=True
                )

    async def _begin(self, ready: Ready, event: str) -> None:
        self._settings.model = ready.model
        self._sync_model_name_to_metrics()
        self._is_connected = True
        await self._call_event_handler(event, ready.session)

    async def _lose(self, error: EngineError) -> None:
        await self._push(self._speech.end())
        self._speech = Speech()
        if self._is_connected:
            self._is_connected = False
            await self._call_event_handler("on_disconnected", self._link.session_id)
        await self.push_error(str(error), exception=error, category=category(error))

    async def _follow_caller(self, pcm: bytes) -> None:
        """Tell when they begin and cease to speak: to the pipeline that is whose turn it is."""
        before = self._caller.state
        self._caller.frame(level_db(pcm))
        if self._caller.state is not before:
            speaks = self._caller.state is State.SPEAKING
            await self.broadcast_frame(
                ProposedUserStartedSpeakingFrame if speaks else ProposedUserStoppedSpeakingFrame
            )

    async def _push(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            await self.push_frame(frame)

    def _tell_unread(self, frame: Frame) -> None:
        kind = type(frame).__name__
        if kind not in self._unread:
            self._unread.add(kind)
            logger.warning(READS_NOTHING, kind)


def _role(message: object) -> str:
    return str(message.get("role", "")) if isinstance(message, dict) else ""
