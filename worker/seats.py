"""Whether this worker takes another call: the engine decides when it is asked, of calls that need no engine
their number.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any

from livekit.agents import AssignmentTimeoutError, JobRequest

from engine.client import EngineClient, SeatCount
from engine.errors import EngineError, Refused, SessionError, SettingError
from engine.protocol import ModelCard
from worker import dispatches
from worker.conversation import session_parameters
from worker.hybrid import stack
from worker.modes import Mode, mode_in
from worker.pipeline_seats import PipelineSeats
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
_WORKER_FULL = "worker_full"
_GIVEN_AWAY = "given_away"


def load_of(count: SeatCount) -> float:
    """The number to report: FULL_LOAD when no seat is left, else below where LiveKit stops offering."""
    used = count.in_calls + count.reserved
    return FULL_LOAD if used >= count.seats else BUSY_LOAD * used / count.seats


class WorkerFull(Refused):
    """As many calls of mode `pipeline` are on as may be."""

    code = _WORKER_FULL

    def __init__(self, seats: int) -> None:
        super().__init__(
            f"{seats} calls of mode pipeline are on, and no more are taken: WORKER_PIPELINE_CALLS"
        )


class Seats:
    """Answers LiveKit's offers with the engine's word, and keeps at hand how full it is. A worker whose mode
    is `pipeline` is as full as it has such calls.

    `announce` is called when the last seat is taken or one is free again, `give_up` when there can be none,
    `count` with what becomes of each offer: ACCEPTED, or why it is refused. running: the ids of the jobs that
    are on.
    """

    def __init__(
        self,
        announce: Callable[[], Awaitable[None]],
        give_up: Callable[[], Coroutine[Any, Any, None]],
        count: Callable[[str], None] = lambda _result: None,
        running: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._pipelines = PipelineSeats(running)
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
        self._settings: WorkerSettings | None = None

    def start(self) -> None:
        """Begin to watch the engine that the environment names; where it names none and one is needed, or
        something else is missing for the mode of most calls, give up.
        """
        try:
            settings = WorkerSettings.load()
            stack.check(settings, settings.worker_mode, None if settings.has_no_engine else stack.ANY)
            engine = None if settings.has_no_engine else open_engine(settings)
        except SettingError as error:
            # Not raised: whoever calls this goes on, and the worker would refuse calls for ever.
            self._load = FULL_LOAD
            log.error("no calls can be taken", extra={"detail": str(error)})
            self._watching = asyncio.create_task(self._give_up())
        else:
            self._settings, self._engine = settings, engine
            self._pipelines.seats = settings.worker_pipeline_calls
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

    @property
    def can_serve(self) -> bool:
        """Whether calls of the mode of most can begin, seats aside."""
        return self.engine_answers or self._is_pipeline

    @property
    def engine_is_well(self) -> bool:
        """Whether it answers, or there is none and none is needed."""
        return self.engine_answers or (self._settings is not None and self._settings.has_no_engine)

    @property
    def _is_pipeline(self) -> bool:
        return self._settings is not None and self._settings.worker_mode is Mode.PIPELINE

    async def watch(self, engine: EngineClient | None) -> None:
        """Keep the load up to date, and take offers for this engine if there is one, until cancelled."""
        self._engine = engine
        try:
            while True:
                before, self._load = self._load, await self._ask(engine)
                if (before == FULL_LOAD) != (self._load == FULL_LOAD):
                    await self._tell_livekit()
                await asyncio.sleep(REFRESH_S)
        finally:
            self._engine, self._load, self.engine_answers = None, FULL_LOAD, False
            self._settings = None
            if engine is not None:
                await engine.close()

    async def _tell_livekit(self) -> None:
        try:
            await self._announce()
        except Exception:
            # What announces is not ours and may raise anything. LiveKit still asks for the load by itself.
            log.warning("LiveKit was not told the load at once", exc_info=True)

    async def _ask(self, engine: EngineClient | None) -> float:
        load = FULL_LOAD if engine is None else await self._ask_engine(engine)
        if not self._is_pipeline:
            return load
        used = self._pipelines.used
        self.free = self._pipelines.seats - used
        return load_of(SeatCount(self._pipelines.seats, used, 0))

    async def _ask_engine(self, engine: EngineClient) -> float:
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
        """Take an offered job if there is a seat for it; else leave it to another worker."""
        self._count(await self._answer(request))

    async def _answer(self, request: JobRequest) -> str:
        if self._settings is None and self._engine is None:
            await request.reject(terminate=False)
            return _NO_ENGINE
        metadata, _ = dispatches.read(request.job.metadata)
        try:
            session_parameters.from_metadata(metadata)
            mode = await self._mode_in(metadata)
            await self._take(request.id, mode)
        except EngineError as refusal:
            # What is asked for is as wrong elsewhere; what cannot be had here may be had there.
            is_wrong = isinstance(refusal, SessionError)
            log.log(
                logging.ERROR if is_wrong or isinstance(refusal, SettingError) else logging.WARNING,
                "call refused",
                extra={"call": request.id, "reason": refusal.code, "detail": str(refusal)},
            )
            await request.reject(terminate=is_wrong)
            return refusal.code
        try:
            # Everybody in the room can read this.
            await request.accept(name=AGENT_NAME, attributes=self._shown_in(mode))
        except AssignmentTimeoutError:
            log.warning(
                "LiveKit gave an accepted call to nobody or somebody else", extra={"call": request.id}
            )
            self._pipelines.give_back(request.id)
            if self._engine is not None and mode is not Mode.PIPELINE:
                with suppress(EngineError):
                    await self._engine.release(request.id)
            return _GIVEN_AWAY
        return ACCEPTED

    async def _take(self, job: str, mode: Mode) -> None:
        """Raises WorkerFull, EngineError."""
        if mode is Mode.PIPELINE:
            if not self._pipelines.take(job):
                raise WorkerFull(self._pipelines.seats)
        elif self._engine is not None:
            await self._engine.reserve(job, RESERVED_S)

    async def _mode_in(self, metadata: str) -> Mode:
        """Raises SessionError where there is no such mode, SettingError where it cannot be had here,
        EngineError where the engine does not say what it has.
        """
        if self._settings is None:
            return mode_in(metadata, Mode.MOSHI)
        mode = mode_in(metadata, self._settings.worker_mode)
        card = await self._card(self._settings, mode)
        stack.check(self._settings, mode, card)
        return mode

    async def _card(self, settings: WorkerSettings, mode: Mode) -> ModelCard | None:
        """What the engine has; it is asked only where that matters."""
        if self._engine is None:
            return None
        if mode is Mode.MOSHI or (settings.worker_stt_url and settings.worker_tts_url):
            return stack.ANY
        return await self._engine.model()

    def _shown_in(self, mode: Mode) -> dict[str, str]:
        settings = self._settings
        shown = attributes.at_once(notice_in(settings, mode)) if settings else attributes.at_once()
        return shown | attributes.of_mode(mode)
