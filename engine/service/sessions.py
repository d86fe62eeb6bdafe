"""The live sessions of an engine: opened into a place, fed with answers, closed."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import EngineDraining, EngineError, Refused, SessionError, TooManySessions
from engine.latency_window import QUANTILES
from engine.persona.prompt import Personas, Prompt
from engine.protocol import (
    SAMPLING_PARAMETERS,
    Failure,
    ModelCard,
    Ready,
    Report,
    SessionRequest,
)
from engine.service.grace import Grace
from engine.service.metrics import Metrics, SessionLatency
from engine.service.own_words import WordTokens
from engine.service.places import Place, Places
from engine.service.rate_limit import RateLimit
from engine.service.seats import Seats
from engine.service.session import Owner, Session
from engine.step.frames import FRAME_S, Sampling, StepResult
from engine.step.moves import Copy, HostCopy, Keep, Move, Recall
from engine.step.ready_queue import ReadyQueue

log = logging.getLogger(__name__)

# Each new session costs everybody else a part of a step.
_OPENED_PER_SECOND = 10.0
_OPENED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What sessions need of the model: its name, its delay, its default sampling, its pieces of text, and
    what it can be told to be, if it is of that kind; `words`: how it writes its own, if it can be given any.
    """

    name: str
    delay_frames: int
    sampling: Sampling
    piece: Callable[[int], str]
    personas: Personas | None = None
    words: WordTokens | None = None


class Sessions:
    """Sessions by id, those too whose callers are away. Used from the event loop alone.

    `copied`, set by whoever moves sessions to other engines, is called when a copy is over.
    """

    def __init__(
        self,
        model: ServedModel,
        seats: Seats,
        places: Places,
        queue: ReadyQueue,
        grace: Grace,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: Literal["open", "draining", "broken"] = "open"
        self._model = model
        self._seats = seats
        self._places = places
        self._queue = queue
        self._grace = grace
        self._metrics = metrics
        self._clock = clock
        self._opening = RateLimit(_OPENED_PER_SECOND, _OPENED_AT_ONCE + 2 * seats.total, clock)
        self._live: dict[str, Session] = {}
        self._settling: dict[str, asyncio.Future[bool]] = {}
        self.copied: Callable[[Copy, bool], None] = lambda _copy, _arrived: None

    @property
    def live(self) -> int:
        """How many sessions are live and have a connection."""
        return sum(session.connected for session in self._live.values())

    @property
    def lost(self) -> list[Session]:
        """Those that are held without one."""
        return [session for session in self._live.values() if not session.connected]

    @property
    def all(self) -> list[Session]:
        """Every live session."""
        return list(self._live.values())

    def get(self, session_id: str) -> Session | None:
        """A live session."""
        return self._live.get(session_id)

    @property
    def card(self) -> ModelCard:
        """What a client may know of the model before a session."""
        delay_ms = round(1000 * FRAME_S * self._model.delay_frames)
        card = ModelCard(self._model.name, delay_ms, own_words=self._model.words is not None)
        if self._model.personas is None:
            return card
        voices = self._model.personas.voices
        told = ("voice", "prompt") if voices else ("prompt",)
        return replace(card, settings=(*SAMPLING_PARAMETERS, *told), voices=voices)

    def drain(self) -> None:
        """Take no new calls from now on."""
        if self.state == "open":
            self.state = "draining"
            log.info("draining", extra={"calls": self.live})

    def reserve(self, seat: str, ttl_s: float) -> None:
        """Keep a seat. Raises a refusal, or SessionError."""
        with self.admission():
            self._seats.reserve(seat, ttl_s)

    def open(self, request: SessionRequest) -> tuple[Session, Ready]:
        """A session, and what its client is told first. Raises a refusal, or SessionError."""
        prompt = self._prompt(request)
        sampling = self.sampling(request)
        if request.seed is None:
            sampling = replace(sampling, seed=secrets.randbits(32))
        with self.admission(promised=self._seats.holds(request.seat)):
            place = self._places.take(secrets.token_hex(8), request.seat, sampling, prompt)
        owner = Owner(request.room, request.identity, request.seat)
        session = self._session(place, sampling.seed, owner)
        session.follows = request.follows
        self._live[session.id] = session
        self._metrics.begin(session.id, owner.room)
        log.info("call began", extra={"session": session.id})
        return session, self.ready(session)

    def arrive(
        self, session: str, seed: int, owner: Owner, frames: int, seat: str, copy: HostCopy
    ) -> Session:
        """A session that has heard `frames` on another engine. It has no connection. Raises a refusal."""
        with self.admission(promised=self._seats.holds(seat)):
            place = self._places.arrive(session, seat, copy)
        arrived = self._session(place, seed, owner, frames)
        arrived.connected = arrived.was_fetched = False
        self._settling[session] = asyncio.get_running_loop().create_future()
        self._live[session] = arrived
        self._metrics.begin(session, owner.room)
        log.info("call arrived", extra={"session": session, "frame": frames})
        return arrived

    async def settled(self, arrived: Session, timeout_s: float) -> bool:
        """Wait until it is in its slot; False if it never will be."""
        settling = self._settling[arrived.id]
        try:
            async with asyncio.timeout(timeout_s):
                return await settling
        except TimeoutError:
            return False
        finally:
            self._settling.pop(arrived.id, None)

    def ready(self, session: Session, used: str | None = None) -> Ready:
        """What a client is told first, with a token of its own. `used`: the one that it came with."""
        return Ready(
            session.id,
            self.card.model,
            session.seed,
            self.card.model_delay_ms,
            resume=self._grace.token(session.id, used),
            grace_s=self._grace.seconds,
            frame=session.next_frame,
            own_words=self.card.own_words,
        )

    def check(self, request: SessionRequest) -> None:
        """Raise SessionError for what this model does not take."""
        self._prompt(request)

    def _session(self, place: Place, seed: int, owner: Owner, frames: int = 0) -> Session:
        model = self._model
        return Session(place, seed, owner, self._queue.put, model.piece, self._clock, frames, model.words)

    def _prompt(self, request: SessionRequest) -> Prompt | None:
        """What a session of this request begins with."""
        if self._model.personas is not None:
            return self._model.personas.prompt(request.voice, request.prompt)
        for name, value in (("voice", request.voice), ("prompt", request.prompt)):
            if value is not None:
                raise SessionError(f"{self._model.name} takes no {name}: leave it out")
        return None

    def sampling(self, request: SessionRequest) -> Sampling:
        """How a session of this request draws; without a seed of its own, 0 stands for any."""
        return request.sampling(self._model.sampling)

    def close(self, session: Session, reason: str, failure: EngineError | None = None) -> None:
        """End a session; its seat is free at once. A session that has ended already stays as it is."""
        if self._live.pop(session.id, None) is None:
            return
        self._grace.forget(session.id)
        self._settle(session.id, arrived=False)
        self._places.leave(session.place)
        if session.connected:
            session.disconnect(reason, Failure(failure.code, str(failure)) if failure else None)
        measured = self._metrics.end(session.id, reason)
        log.info("call ended", extra={"session": session.id, "reason": reason, **_summary(measured)})

    def deliver(self, results: list[StepResult]) -> None:
        """Hand the answers of one step to their sessions; an answer whose session has left is dropped."""
        self._metrics.stepped(len(results))
        for result in results:
            session = self._live.get(self._places.holder(result.frame.slot) or "")
            if session is None:
                continue
            try:
                session.answer(result)
            except SessionError as error:
                self.close(session, "error", error)

    def moved(self, move: Move, arrived: bool) -> None:
        """A session has left its slot or come back; if that failed, its state is gone and it is over."""
        if isinstance(move, Copy):
            self.copied(move, arrived)
            return
        if isinstance(move, Keep):
            self._places.kept(move, arrived)
            return
        if isinstance(move, Recall) and not arrived:
            self._places.not_recalled(move)
        session = self._live.get(self._places.moved(move) or "")
        if session is not None and isinstance(move, Recall) and not arrived:
            self.close(session, "error", EngineError("the conversation could not begin: call again"))
            return
        if session is not None:
            self._settle(session.id, arrived=arrived)
        if session is not None and not arrived:
            self.close(session, "error", EngineError("the conversation could not be kept: call again"))

    def _settle(self, session_id: str, *, arrived: bool) -> None:
        settling = self._settling.get(session_id)
        if settling is not None and not settling.done():
            settling.set_result(arrived)

    def report(self, session: Session, report: Report) -> None:
        """Observe what a client measured on its side."""
        for stage, micros in (
            ("worker", report.worker_us),
            ("playout", report.playout_us),
            ("jitter", report.jitter_us),
        ):
            if micros is not None:
                self._metrics.observe(session.id, stage, micros / 1e6)
        for fault, count in (
            ("underruns", report.underruns),
            ("late_frames", report.late_frames),
            ("silent_frames", report.silent_frames),
            ("concealed_seconds", report.concealed_us / 1e6),
        ):
            self._metrics.count(session.id, fault, count)

    def close_all(self, reason: str, failure: EngineError | None = None) -> None:
        """End every session."""
        for session in list(self._live.values()):
            self.close(session, reason, failure)

    @contextmanager
    def admission(self, *, promised: bool = False, returning: bool = False) -> Iterator[None]:
        """Take a seat within. A draining engine lets in who was promised one, and was counted then, and who
        comes back.
        """
        try:
            if self.state == "broken" or (self.state == "draining" and not promised and not returning):
                raise EngineDraining
            if not promised and not self._opening.take(1):
                raise TooManySessions
            yield
        except Refused as refusal:
            self._metrics.refused(refusal.code)
            raise


def _summary(measured: SessionLatency) -> dict[str, int | float]:
    """The numbers of a call for its log line: frames, missed, faults, p50/p95/p99 of each stage."""
    summary: dict[str, int | float] = {"frames": measured.frames, "missed": measured.missed}
    summary |= {fault: round(count, 2) for fault, count in measured.faults.items() if count}
    for stage, window in measured.stages.items():
        for quantile, seconds in zip(QUANTILES, window.whole_call() or (), strict=False):
            summary[f"{stage}_p{100 * quantile:g}_ms"] = round(1000 * seconds, 1)
    return summary
