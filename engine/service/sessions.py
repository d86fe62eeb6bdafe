"""The live sessions of an engine: opened into a seat and a slot, fed with answers, closed."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import EngineDraining, EngineError, Refused, SessionError, TooManySessions
from engine.protocol import Failure, ModelCard, Ready, Report, SessionRequest
from engine.service.latency_window import QUANTILES
from engine.service.metrics import Metrics, SessionLatency
from engine.service.rate_limit import RateLimit
from engine.service.seats import Seats
from engine.service.session import Session
from engine.step.frames import FRAME_S, Sampling, StepResult
from engine.step.ready_queue import Join, ReadyQueue
from engine.step.slots import SlotPool

log = logging.getLogger(__name__)

# Each new session costs everybody else a part of a step.
_OPENED_PER_SECOND = 10.0
_OPENED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What sessions need of the model: its name, its delay, its default sampling, its pieces of text."""

    name: str
    delay_frames: int
    sampling: Sampling
    piece: Callable[[int], str]


class Sessions:
    """Sessions by slot. Used from the event loop alone."""

    def __init__(
        self,
        model: ServedModel,
        seats: Seats,
        queue: ReadyQueue,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: Literal["open", "draining", "broken"] = "open"
        self._model = model
        self._seats = seats
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._slots = SlotPool(seats.total)
        self._opening = RateLimit(_OPENED_PER_SECOND, _OPENED_AT_ONCE + 2 * seats.total, clock)
        self._live: dict[int, Session] = {}

    @property
    def live(self) -> int:
        """How many sessions are live."""
        return len(self._live)

    @property
    def card(self) -> ModelCard:
        """What a client may know of the model before a session."""
        return ModelCard(self._model.name, round(1000 * FRAME_S * self._model.delay_frames))

    def reserve(self, seat: str, ttl_s: float) -> None:
        """Keep a seat. Raises a refusal, or SessionError."""
        with self._admission():
            self._seats.reserve(seat, ttl_s)

    def open(self, request: SessionRequest) -> tuple[Session, Ready]:
        """A session, and what its client is told first. Raises a refusal, or SessionError."""
        self.check(request)
        with self._admission(promised=self._seats.holds(request.seat)):
            self._seats.enter(request.seat)
        sampling = self.sampling(request)
        if request.seed is None:
            sampling = replace(sampling, seed=secrets.randbits(32))
        session = Session(
            secrets.token_hex(8), self._slots.take(), self._queue.put, self._model.piece, self._clock
        )
        self._live[session.slot.index] = session
        self._queue.join(Join(session.slot, sampling))
        self._metrics.begin(session.id)
        log.info("call began", extra={"session": session.id})
        card = self.card
        return session, Ready(session.id, card.model, sampling.seed, card.model_delay_ms)

    def check(self, request: SessionRequest) -> None:
        """Raise SessionError for what this model does not take."""
        for name, value in (("voice", request.voice), ("prompt", request.prompt)):
            if value is not None:
                raise SessionError(f"{self._model.name} takes no {name}: leave it out")

    def sampling(self, request: SessionRequest) -> Sampling:
        """How a session of this request draws; without a seed of its own, 0 stands for any."""
        return request.sampling(self._model.sampling)

    def close(self, session: Session, reason: str, failure: EngineError | None = None) -> None:
        """End a session; its seat is free at once. A session that has ended already stays as it is."""
        if self._live.get(session.slot.index) is not session:
            return
        del self._live[session.slot.index]
        self._queue.leave(session.slot)
        self._slots.free(session.slot)
        self._seats.leave()
        session.finish(reason, Failure(failure.code, str(failure)) if failure else None)
        measured = self._metrics.end(session.id, reason)
        log.info("call ended", extra={"session": session.id, "reason": reason, **_summary(measured)})

    def deliver(self, results: list[StepResult]) -> None:
        """Hand the answers of one step to their sessions; an answer whose session has left is dropped."""
        self._metrics.stepped(len(results))
        for result in results:
            session = self._live.get(result.frame.slot.index)
            if session is None or session.slot != result.frame.slot:
                continue
            try:
                session.answer(result)
            except SessionError as error:
                self.close(session, "error", error)

    def report(self, session: Session, report: Report) -> None:
        """Observe what a client measured on its side."""
        for stage, micros in (
            ("worker", report.worker_us),
            ("playout", report.playout_us),
            ("jitter", report.jitter_us),
        ):
            if micros is not None:
                self._metrics.observe(session.id, stage, micros / 1e6)

    def close_all(self, reason: str, failure: EngineError | None = None) -> None:
        """End every session."""
        for session in list(self._live.values()):
            self.close(session, reason, failure)

    @contextmanager
    def _admission(self, *, promised: bool = False) -> Iterator[None]:
        """Take a seat within. Who was promised one is let in by a draining engine, and was counted then."""
        try:
            if not promised:
                if self.state != "open":
                    raise EngineDraining
                if not self._opening.take(1):
                    raise TooManySessions
            yield
        except Refused as refusal:
            self._metrics.refused(refusal.code)
            raise


def _summary(measured: SessionLatency) -> dict[str, int | float]:
    """The numbers of a call for its log line: frames, missed, p50/p95/p99 of each stage."""
    summary: dict[str, int | float] = {"frames": measured.frames, "missed": measured.missed}
    for stage, window in measured.stages.items():
        for quantile, seconds in zip(QUANTILES, window.whole_call() or (), strict=False):
            summary[f"{stage}_p{100 * quantile:g}_ms"] = round(1000 * seconds, 1)
    return summary
