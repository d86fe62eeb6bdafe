"""Whether this worker takes another call. The engine alone knows, and it decides when it is asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from livekit.agents import AssignmentTimeoutError, JobRequest

from engine.client import EngineClient, SeatCount
from engine.errors import EngineError, SessionError, SettingError
from worker import dispatches
from worker.conversation import session_parameters
from worker.hybrid import stack
from worker.modes import Mode, mode_in
from worker.privacy import notice_in
from worker.settings import WorkerSettings, open_engine
from worker.signs import attributes
from worker.watching.worker_metrics import ACCEPTED

log = logging.getLogger(__name__)

RESERVED_S = 20.0
REFRESH_S = 0.25
FULL_LOAD = 1.0
# A LiveKit server sends no jobs to a worker that reports more than its `agents.target_load`, 0.7 by default.
BUSY_LOAD = 0.69
AGENT_NAME = "Moshi"
_NO_ENGINE = "no_engine"
_GIVEN_AWAY = "given_away"


def load_of(count: SeatCount) -> float:
    """The number to report: FULL_LOAD when no seat is left, else below where LiveKit stops offering."""
    used = count.in_calls + count.reserved
    return FULL_LOAD if used >= count.seats else BUSY_LOAD * used / count.seats


class Seats:
    """Answers LiveKit's offers with the engine's word, and keeps at hand how full it is.

    `announce` is called when the last seat is taken or one is free again, `give_up` when there can be none,
    `count` with what becomes of each offer: ACCEPTED, or why it is refused.
    """

    def __init__(
        self,
        announce: Callable[[], Awaitable[None]],
        give_up: Callable[[], Coroutine[Any, Any, None]],
        count: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._announce = announce
        self._give_up = give_up
        self._count = count
        self.engine_answers = False
        """Whether it did when it was last asked."""
        self._engine: EngineClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self.free = 0
        """How many seats it had left then."""
        # Until the engine has said how full it is: a first report of a full worker would stand for seconds.
        self._load = 0.0
        self._shown = attributes.at_once()
        self._settings: WorkerSettings | None = None

    def start(self) -> None:
        """Begin to watch the engine that the environment names; if it names none, give up."""
        try:
            settings = WorkerSettings.load()
            engine = open_engine(settings)
        except SettingError as error:
            # Not raised: whoever calls this goes on, and the worker would refuse calls for ever.
            self._load = FULL_LOAD
            log.error("no engine to take calls for", extra={"detail": str(error)})
            self._watching = asyncio.create_task(self._give_up())
        else:
            self._settings = settings
            self._shown = attributes.at_once(notice_in(settings))
            self._watching = asyncio.create_task(self.watch(engine))

    async def stop(self) -> None:
        """Take no more offers."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def load(self) -> float:
        """The last known load. LiveKit asks from another thread, and never again if this raises."""
        return self._load

    def is_full(self) -> bool:
        """Whether no seat is left, as far as is known."""
        return self._load == FULL_LOAD

    async def watch(self, engine: EngineClient) -> None:
        """Keep the load up to date, and take offers for this engine, until cancelled."""
        self._engine = engine
        try:
            while True:
                before, self._load = self._load, await self._ask(engine)
                if (before == FULL_LOAD) != (self._load == FULL_LOAD):
                    await self._tell_livekit()
                await asyncio.sleep(REFRESH_S)
        finally:
            self._engine, self._load, self.engine_answers = None, FULL_LOAD, False
            await engine.close()

    async def _tell_livekit(self) -> None:
        try:
            await self._announce()
        except Exception:
            # What announces is not ours and may raise anything. LiveKit still asks for the load by itself.
            log.warning("LiveKit was not told the load at once", exc_info=True)

    async def _ask(self, engine: EngineClient) -> float:
        try:
            count = await engine.seats()
            self.free = count.seats - count.in_calls - count.reserved
            self.engine_answers = True
            return load_of(count)
        except (EngineError, LookupError, TypeError, ValueError) as gone:
            self.engine_answers, self.free = False, 0
            if self._load != FULL_LOAD:
                log.error("no more calls", extra={"detail": str(gone)})
            return FULL_LOAD

    async def answer(self, request: JobRequest) -> None:
        """Take an offered job if the engine reserves a seat for it; else leave it to another worker."""
        self._count(await self._answer(request))

    async def _answer(self, request: JobRequest) -> str:
        if self._engine is None:
            await request.reject(terminate=False)
            return _NO_ENGINE
        metadata, _ = dispatches.read(request.job.metadata)
        try:
            session_parameters.from_metadata(metadata)
            mode = self._mode_in(metadata)
        except (SessionError, SettingError) as fault:
            log.error("call refused", extra={"call": request.id, "reason": fault.code, "detail": str(fault)})
            # What is asked for is as wrong elsewhere; what is not set here may be set there.
            await request.reject(terminate=isinstance(fault, SessionError))
            return fault.code
        try:
            if mode is not Mode.PIPELINE:
                await self._engine.reserve(request.id, RESERVED_S)
        except EngineError as refusal:
            log.warning(
                "call refused",
                extra={"call": request.id, "reason": refusal.code, "detail": str(refusal)},
            )
            await request.reject(terminate=False)
            return refusal.code
        try:
            # Everybody in the room can read this.
            await request.accept(name=AGENT_NAME, attributes=self._shown | attributes.of_mode(mode))
        except AssignmentTimeoutError:
            log.warning(
                "LiveKit gave an accepted call to nobody or somebody else", extra={"call": request.id}
            )
            with suppress(EngineError):
                await self._engine.release(request.id)
            return _GIVEN_AWAY
        return ACCEPTED

    def _mode_in(self, metadata: str) -> Mode:
        """Raises SessionError where there is no such mode, SettingError where it cannot be had here."""
        if self._settings is None:
            return mode_in(metadata, Mode.MOSHI)
        mode = mode_in(metadata, self._settings.worker_mode)
        stack.check(self._settings, mode)
        return mode
