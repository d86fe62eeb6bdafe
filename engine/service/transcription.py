"""One speaker who is written down: sound of any length becomes frames, tokens become words."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from engine.checkpoint import Model
from engine.errors import SessionError
from engine.protocol import FRAME_BYTES, Ended, Failure
from engine.service.pace import Pace
from engine.service.places import Place
from engine.service.rate_limit import RateLimit
from engine.service.timeline import Timeline
from engine.service.words import Words
from engine.step.frames import FRAME_S, FRAME_SAMPLES, Frame, Sampling, StepResult
from engine.transcript_protocol import TranscriptEvent, Turn

_MAX_UNSENT_EVENTS = 2000
_MAX_UNANSWERED = round(30.0 / FRAME_S)
# Beyond the model's delay, as upstream's `run_inference` has it.
_TAIL_S = 1.0
# Each costs as many frames as words are late.
_FLUSHES_PER_SECOND = 1.0
_FLUSHES_AT_ONCE = 4.0
_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)


@dataclass(frozen=True, slots=True)
class ServedStt:
    """What transcriptions need of the model.

    delay_s, prefix_s: as in `SttConfig`; heads: those that tell pauses; boundary, piece, text: as in `Words`.
    """

    name: str
    delay_s: float
    prefix_s: float
    heads: int
    sampling: Sampling
    boundary: int
    piece: Callable[[int], str]
    text: Callable[[Sequence[int]], str]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Of a model that has been loaded as one."""
        assert model.stt is not None, "make_stt_runner takes no other"
        return cls(
            model.name,
            model.stt.delay_s,
            model.stt.prefix_s,
            model.lm.config.extra_heads,
            model.sampling,
            model.lm.config.text_end_padding_id,
            model.tokenizer.piece,
            model.tokenizer.text,
        )

    @property
    def delay_frames(self) -> int:
        """Silent frames after which what was said before them has been told."""
        return math.ceil(self.delay_s / FRAME_S) + 1


class Transcription:
    """A session in its place: `put` takes its frames, `events` holds what its client is to hear.

    `is_over` is set with the last event.
    """

    def __init__(
        self,
        place: Place,
        model: ServedStt,
        put: Callable[[Frame], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = place.session
        self.place = place
        self.events: asyncio.Queue[TranscriptEvent] = asyncio.Queue()
        self.is_over = asyncio.Event()
        self._model = model
        self._put = put
        self._clock = clock
        self._pace = Pace(clock)
        self._flushes = RateLimit(_FLUSHES_PER_SECOND, _FLUSHES_AT_ONCE, clock)
        self._timeline = Timeline()
        self._words = Words(model.boundary, model.piece, model.text)
        self._sound = bytearray()
        self._silent = set[int]()
        self._frames = 0
        self._answered = 0
        self._spoken = 0
        self._last: int | None = None
        self._insert(math.ceil(model.prefix_s / FRAME_S))

    def count_message(self) -> None:
        """A message has come. Raises SessionError when they come too fast."""
        self._pace.message()

    def receive(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length; lost after the end.

        Raises SessionError when it comes much faster than real time, or than it can be written down.
        """
        if self._last is not None:
            return
        if self._frames - self._answered > _MAX_UNANSWERED:
            raise SessionError("more than 30 s of sound wait to be written down: send it no faster than said")
        self._pace.sound(len(pcm))
        self._sound += pcm
        while len(self._sound) >= FRAME_BYTES:
            self._hear(np.frombuffer(bytes(self._sound[:FRAME_BYTES]), "<i2"))
            del self._sound[:FRAME_BYTES]
            self._spoken += 1

    def flush(self) -> None:
        """Let what was said be told now. Without effect if nothing was said since, often in a second, or
        where more waits already than a flush puts in.
        """
        is_behind = self._frames - self._answered > self._model.delay_frames + self._spoken
        if self._last is None and self._spoken and not is_behind and self._flushes.take(1):
            self._insert(self._model.delay_frames)

    def finish(self) -> None:
        """Nothing more is said."""
        if self._last is not None:
            return
        if rest := len(self._sound) // 2:
            frame = np.zeros(FRAME_SAMPLES, np.int16)
            frame[:rest] = np.frombuffer(bytes(self._sound[: 2 * rest]), "<i2")
            self._hear(frame)
        self._insert(self._model.delay_frames + math.ceil(_TAIL_S / FRAME_S))
        self._last = self._frames - 1

    def was_sent(self, frame: Frame) -> bool:
        """Whether a frame that is not answered yet came from the speaker, and is no silence put in."""
        return frame.number not in self._silent

    def answer(self, result: StepResult) -> bool:
        """What one frame's token tells; whether it was the last. Raises SessionError if nobody reads it."""
        if self.events.qsize() > _MAX_UNSENT_EVENTS:
            raise SessionError("the client does not read its words")
        self._answered = result.frame.number + 1
        self._silent.discard(result.frame.number)
        began_s = result.frame.number * FRAME_S
        told_s = self._timeline.sound_s(began_s - self._model.delay_s)
        for event in self._words.take(result.text_token, told_s):
            self.events.put_nowait(event)
        is_last = result.frame.number == self._last
        heard_s = self._timeline.sound_s(began_s + FRAME_S)
        if is_last:
            for event in self._words.finish(heard_s):
                self.events.put_nowait(event)
        pauses = tuple(round(pause, 3) for pause in result.pauses)
        self.events.put_nowait(Turn(round(heard_s, 3), round(heard_s if is_last else told_s, 3), pauses))
        self._timeline.forget(began_s - self._model.delay_s)
        return is_last

    def end(self, reason: str, failure: Failure | None = None) -> None:
        """The last events: why, and that it is over."""
        self._last = -1 if self._last is None else self._last
        if failure is not None:
            self.events.put_nowait(failure)
        self.events.put_nowait(Ended(reason))
        self.is_over.set()

    def _insert(self, frames: int) -> None:
        """Silence that nobody sent."""
        self._spoken = 0
        if frames:
            self._timeline.insert(self._frames * FRAME_S, frames * FRAME_S)
            for _ in range(frames):
                self._silent.add(self._frames)
                self._hear(_SILENCE)

    def _hear(self, pcm: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
        assert self.place.slot is not None, "who is written down has a slot until the end"
        self._put(Frame(self.place.slot, self._frames, pcm, self._clock()))
        self._frames += 1
