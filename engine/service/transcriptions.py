"""All who are written down: let in, fed with tokens, ended. Conversations are in `Sessions`."""

import logging
import secrets
import time
from collections.abc import Callable

from engine.errors import (
    EngineDraining,
    EngineError,
    EngineFull,
    NoTranscriber,
    SessionError,
    TooManySessions,
)
from engine.protocol import Failure
from engine.service.places import Places
from engine.service.rate_limit import RateLimit
from engine.service.seats import Seats
from engine.service.transcription import ServedStt, Transcription
from engine.service.transcription_metrics import TranscriptionMetrics
from engine.step.frames import StepResult
from engine.step.ready_queue import ReadyQueue
from engine.transcript_protocol import TranscriptReady

log = logging.getLogger(__name__)

_OPENED_PER_SECOND = 10.0
_OPENED_AT_ONCE = 20


class Transcriptions:
    """Used from the event loop alone. takes_new: whether the engine lets anybody in now."""

    def __init__(
        self,
        model: ServedStt,
        sessions: int,
        queue: ReadyQueue,
        takes_new: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self._queue = queue
        self._takes_new = takes_new
        self._clock = clock
        seats = Seats(sessions)
        self.metrics = TranscriptionMetrics(seats)
        self._places = Places(seats, queue, most_held=0)
        self._opening = RateLimit(_OPENED_PER_SECOND, _OPENED_AT_ONCE + 2 * sessions, clock)
        self._live: dict[str, Transcription] = {}

    @property
    def live(self) -> int:
        """How many there are."""
        return len(self._live)

    def open(self) -> tuple[Transcription, TranscriptReady]:
        """A new one, and what its client is told first. Raises a refusal."""
        if not self._takes_new():
            raise EngineDraining
        if not self._opening.take(1):
            raise TooManySessions
        try:
            place = self._places.take(secrets.token_hex(8), None, self.model.sampling)
        except EngineFull as full:
            raise NoTranscriber(full.seats, full.in_calls, full.reserved) from None
        opened = Transcription(place, self.model, self._queue.put, self._clock)
        self._live[opened.id] = opened
        log.info("transcription began", extra={"session": opened.id})
        return opened, TranscriptReady(opened.id, self.model.name, self.model.delay_s, self.model.heads)

    def deliver(self, results: list[StepResult]) -> None:
        """Hand the tokens of one step to whom they belong; those of who has left are dropped."""
        for result in results:
            transcription = self._live.get(self._places.holder(result.frame.slot) or "")
            if transcription is None:
                continue
            self.metrics.answered(result, sent=transcription.was_sent(result.frame))
            try:
                is_last = transcription.answer(result)
            except SessionError as error:
                self.close(transcription, "error", error)
            else:
                if is_last:
                    self.close(transcription, "hang_up")

    def close(self, transcription: Transcription, reason: str, failure: EngineError | None = None) -> None:
        """End one; its seat is free at once. One that has ended already stays as it is."""
        if self._live.pop(transcription.id, None) is None:
            return
        self._places.leave(transcription.place)
        transcription.end(reason, Failure(failure.code, str(failure)) if failure else None)
        log.info("transcription ended", extra={"session": transcription.id, "reason": reason})

    def close_all(self, reason: str, failure: EngineError | None = None) -> None:
        """End every one."""
        for transcription in list(self._live.values()):
            self.close(transcription, reason, failure)
