"""All voices that speak texts: let in, fed with text, ended. Conversations are in `Sessions`."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from engine.checkpoint import Model
from engine.checkpoint.tts_voices import TtsVoice, voice_named
from engine.errors import (
    EngineDraining,
    EngineError,
    EngineFull,
    NoSpeaker,
    SessionError,
    TooManySessions,
)
from engine.protocol import Failure
from engine.service.rate_limit import RateLimit
from engine.service.seats import Seats
from engine.service.speech import Speech
from engine.service.speech_metrics import SpeechMetrics
from engine.speech_protocol import SpeechMessage, SpeechReady, SpeechRequest
from engine.step.frames import Sampling, SlotRef
from engine.step.slots import SlotPool
from engine.step.speech_loop import SpokenFrame
from engine.step.speech_queue import Begin, Leave, SpeechQueue
from engine.step.tts_runner import TtsRunner

log = logging.getLogger(__name__)

_OPENED_PER_SECOND = 10.0
_OPENED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class ServedTts:
    """What speech needs of the model.

    voices: by name, the first for who asks for none; sampling: for who asks for no other; check_cfg: raises
    SessionError for a `cfg` that the model was not trained with.
    """

    name: str
    voices: Mapping[str, TtsVoice]
    sampling: Sampling
    check_cfg: Callable[[float | None], None]

    @classmethod
    def of(cls, model: Model, runner: TtsRunner, voices: Mapping[str, TtsVoice]) -> Self:
        """Of a model that has been loaded as one."""
        return cls(model.name, voices, model.sampling, runner.check_cfg)

    def check(self, request: SpeechRequest) -> None:
        """Raises SessionError for what cannot be had."""
        self.check_cfg(request.cfg)
        self.voice(request.voice)

    def begin(self, request: SpeechRequest, slot: SlotRef, seed: int) -> Begin:
        """How each stretch of a speech begins, whose request has been checked."""
        sampling = replace(self.sampling, seed=seed)
        if (heat := request.temperature) is not None:
            sampling = replace(sampling, temperature=heat, temperature_text=heat)
        return Begin(slot, self.voice(request.voice), sampling, request.cfg)

    def voice(self, name: str | None) -> TtsVoice | None:
        """Of a speech that asks for `name`; None in an engine without voices. Raises SessionError."""
        if name is None:
            return next(iter(self.voices.values()), None)
        return voice_named(self.voices, name)


class Speeches:
    """Used from the event loop alone. takes_new: whether the engine lets anybody in now."""

    def __init__(
        self,
        model: ServedTts,
        sessions: int,
        queue: SpeechQueue,
        takes_new: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self._queue = queue
        self._takes_new = takes_new
        self._clock = clock
        self._seats = Seats(sessions)
        self.metrics = SpeechMetrics(self._seats)
        self._slots = SlotPool(sessions)
        self._opening = RateLimit(_OPENED_PER_SECOND, _OPENED_AT_ONCE + 2 * sessions, clock)
        self._live: dict[SlotRef, Speech] = {}

    @property
    def live(self) -> int:
        """How many there are."""
        return len(self._live)

    def open(self, request: SpeechRequest) -> tuple[Speech, SpeechReady]:
        """A new one, and what its client is told first. Raises SessionError, a refusal."""
        seed = secrets.randbits(32) if request.seed is None else request.seed
        self.model.check(request)
        if not self._takes_new():
            raise EngineDraining
        if not self._opening.take(1):
            raise TooManySessions
        try:
            self._seats.enter(None)
        except EngineFull as full:
            raise NoSpeaker(full.seats, full.in_calls, full.reserved) from None
        slot = self._slots.take()
        begin = self.model.begin(request, slot, seed)
        opened = Speech(secrets.token_hex(8), begin, self._queue.put, self._clock)
        self._live[slot] = opened
        log.info("speech began", extra={"session": opened.id})
        return opened, SpeechReady(opened.id, self.model.name, begin.voice.name if begin.voice else "", seed)

    def receive(self, speech: Speech, message: SpeechMessage) -> None:
        """What a client sent. Raises SessionError for more text than may wait."""
        if speech.receive(message):
            self.close(speech, "hang_up")

    def deliver(self, frames: list[SpokenFrame]) -> None:
        """Hand what one step gave to whom it belongs; that of who has left is dropped."""
        for frame in frames:
            speech = self._live.get(frame.slot)
            if speech is None:
                continue
            try:
                is_last, first_s = speech.answer(frame)
            except SessionError as error:
                self.close(speech, "error", error)
                continue
            if len(frame.frame.pcm):
                self.metrics.spoken()
            if first_s is not None:
                self.metrics.began(first_s)
            if is_last:
                self.close(speech, "hang_up")

    def close(self, speech: Speech, reason: str, failure: EngineError | None = None) -> None:
        """End one; its seat is free at once. One that has ended already stays as it is."""
        if self._live.pop(speech.slot, None) is None:
            return
        self._queue.put(Leave(speech.slot))
        self._slots.free(speech.slot)
        self._seats.leave()
        speech.end(reason, Failure(failure.code, str(failure)) if failure else None)
        log.info("speech ended", extra={"session": speech.id, "reason": reason})

    def close_all(self, reason: str, failure: EngineError | None = None) -> None:
        """End every one."""
        for speech in list(self._live.values()):
            self.close(speech, reason, failure)
