"""The thread that steps a model that speaks a text: for whom there is text, and who is not far ahead."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from engine.step.frames import Sampling, SlotRef
from engine.step.lead import Lead, due
from engine.step.loop import STOP_TIMEOUT_S
from engine.step.speech_queue import Begin, Leave, More, Order, SpeechQueue
from engine.step.turns import Turns

if TYPE_CHECKING:
    from engine.checkpoint.tts_voices import TtsVoice
    from engine.step.tts_runner import TtsFrame

log = logging.getLogger(__name__)


class SpeechRunner(Protocol):
    """The model on a device, called from one thread alone."""

    def open(self, slot: int, voice: "TtsVoice | None", sampling: Sampling, cfg: float | None = None) -> None:
        """Begin a stretch of speech; what the slot spoke before is forgotten."""

    def say(self, slot: int, text: str) -> None:
        """More text, cut anywhere."""

    def end(self, slot: int) -> None:
        """No more text."""

    def ready(self, slot: int) -> bool:
        """Whether it knows enough of the text for a step, and has not come to its end."""

    def step(self, slots: Sequence[int]) -> "list[TtsFrame]":
        """The next frame of each slot, all different and ready."""


@dataclass(frozen=True, slots=True)
class SpokenFrame:
    """What one step gave a slot, at `ended_at` (monotonic seconds)."""

    slot: SlotRef
    frame: "TtsFrame"
    ended_at: float


class SpeechLoop:
    """Steps `runner` on a thread of its own until `stop`. `turns`: those of the device, which other models
    use as well: each beginning and each step takes one.

    `deliver` gets what each step gave; `failed` is called once an error has ended the loop. Both on the
    step's thread.
    """

    def __init__(
        self,
        runner: SpeechRunner,
        queue: SpeechQueue,
        deliver: Callable[[list[SpokenFrame]], None],
        failed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        turns: Turns | None = None,
    ) -> None:
        self._runner = runner
        self._queue = queue
        self._deliver = deliver
        self._failed = failed
        self._clock = clock
        self._turns = turns or Turns()
        self._speaking: dict[SlotRef, Lead] = {}
        self._works = 0
        self._busy = False
        self._thread = Thread(target=self._run, name="speech", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    @property
    def working_on(self) -> int | None:
        """Which work the thread is at, counted from 1; None while it waits."""
        return self._works if self._busy else None

    def stop(self, patience_s: float = STOP_TIMEOUT_S) -> None:
        """End after the step that is running; a device that hangs is given up after a while."""
        self._queue.close()
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            while (orders := self._queue.take(self._wait_s())) is not None:
                for order in orders:
                    self._follow(order)
                if slots := due(self._waits()):
                    self._in_turn(partial(self._step, slots))
        except Exception:
            # Whatever it is, every session must hear of it.
            log.exception("the step of speech failed")
            self._failed()

    def _follow(self, order: Order) -> None:
        if isinstance(order, Begin):
            begin = partial(self._runner.open, order.slot.index, order.voice, order.sampling, order.cfg)
            self._in_turn(begin)
            # Who goes on after a flush is as far ahead as before.
            self._speaking.setdefault(order.slot, Lead())
        elif isinstance(order, Leave):
            self._speaking.pop(order.slot, None)
        elif isinstance(order, More):
            self._runner.say(order.slot.index, order.text)
        else:
            self._runner.end(order.slot.index)

    def _in_turn(self, work: Callable[[], None]) -> None:
        with self._turns.next():
            self._works += 1
            self._busy = True
            work()
            self._busy = False

    def _step(self, slots: list[SlotRef]) -> None:
        frames = self._runner.step([slot.index for slot in slots])
        now = self._clock()
        for slot, frame in zip(slots, frames, strict=True):
            if len(frame.pcm):
                self._speaking[slot].made(now)
        self._deliver([SpokenFrame(slot, frame, now) for slot, frame in zip(slots, frames, strict=True)])

    def _waits(self) -> dict[SlotRef, float]:
        """How long each has to wait for whom a step can be made."""
        now = self._clock()
        ready = {slot: lead for slot, lead in self._speaking.items() if self._runner.ready(slot.index)}
        return {slot: lead.wait_s(now) for slot, lead in ready.items()}

    def _wait_s(self) -> float | None:
        """How long to wait for orders before the next step; None: until there are any."""
        return min(self._waits().values(), default=None)
