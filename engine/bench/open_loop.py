"""Sessions that speak in real time and wait for nobody, through the queue and the thread that serve calls."""

import heapq
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from engine.bench.results import OpenLoop, Quantiles
from engine.bench.sound import Sound
from engine.step.frames import FRAME_S, Frame, SlotRef, StepResult
from engine.step.loop import Runner, StepLoop
from engine.step.ready_queue import ReadyQueue
from engine.step.turns import Turns

WARM_UP_S = 2.0
_HEAD_START_S = 0.05
_LAST_ANSWERS_S = 2.0


class StepFailed(Exception):
    """The step thread has ended with an error, which is in the log."""


class Answers:
    """Every answer's end and every step, as the step thread reports them."""

    def __init__(self, seated: int, frames: int) -> None:
        self.ended = np.full((frames, seated), np.nan)
        self.steps: list[tuple[float, float, int]] = []
        self.complete = Event()
        self.failed = Event()
        self._missing = seated * frames
        self._lock = Lock()

    def deliver(self, results: list[StepResult]) -> None:
        """The answers of one step."""
        with self._lock:
            self.steps.append((results[0].began_at, results[0].ended_at, len(results)))
            for result in results:
                self.ended[result.frame.number, result.frame.slot.index] = result.ended_at
            self._missing -= len(results)
            if not self._missing:
                self.complete.set()

    def fail(self) -> None:
        """No more will come."""
        self.failed.set()
        self.complete.set()


@dataclass(frozen=True, slots=True, eq=False)
class Talkers:
    """Sessions of a model that have joined in `runner` and say `sound`; of `sessions` the others were
    refused.
    """

    runner: Runner
    sound: Sound
    sessions: int


def run_open_loop(talkers: Sequence[Talkers], seconds: float) -> list[OpenLoop]:
    """Let all speak for `seconds` after a warm-up, phases spread over those of each model; models take turns.

    All frames of those who were refused are missed. Raises StepFailed.
    """
    first, count = math.ceil(WARM_UP_S / FRAME_S), max(1, round(seconds / FRAME_S))
    turns, begin = Turns(), time.monotonic() + _HEAD_START_S
    lines = [_Line(each, begin, first + count, turns) for each in talkers]
    for line in lines:
        line.loop.start()
    try:
        sender_late = _send(lines)
        for line in lines:
            line.answers.complete.wait(max(0.0, line.due[-1, -1] + _LAST_ANSWERS_S - time.monotonic()))
    finally:
        for line in lines:
            line.loop.stop()
    if any(line.answers.failed.is_set() for line in lines):
        raise StepFailed("the step failed; its error is in the log")
    now = time.monotonic()
    return [summary(line.answers, line.due, first, line.sessions, now, sender_late) for line in lines]


class _Line:
    """One model's way from frames that are due to their answers. due: seconds [T, B]."""

    def __init__(self, talkers: Talkers, begin: float, frames: int, turns: Turns) -> None:
        seated = len(talkers.sound)
        self.sessions = talkers.sessions
        self.answers = Answers(seated, frames)
        self.queue = ReadyQueue()
        self.loop = StepLoop(talkers.runner, self.queue, self.answers.deliver, self.answers.fail, turns=turns)
        self.due = begin + FRAME_S * (np.arange(frames)[:, None] + np.arange(seated) / seated)
        self._sound = talkers.sound

    def frames(self) -> Iterator[tuple[Frame, ReadyQueue]]:
        """Every frame in its order, and where it belongs."""
        slots = [SlotRef(index, 0) for index in range(len(self._sound))]
        for number, times in enumerate(self.due.tolist()):
            pcm = self._sound[number]
            for slot, at in zip(slots, times, strict=True):
                # A frame is complete when its time has come: a sender that is late makes its answer later.
                yield Frame(slot, number, pcm[slot.index], at), self.queue


def _send(lines: Sequence[_Line]) -> float:
    """Put every frame when it is due; the furthest behind that this was, in seconds."""
    late = 0.0
    in_time = heapq.merge(*(line.frames() for line in lines), key=lambda due: due[0].complete_at)
    for frame, queue in in_time:
        early = frame.complete_at - time.monotonic()
        if early > 0:
            time.sleep(early)
        late = max(late, time.monotonic() - frame.complete_at)
        queue.put(frame)
        if any(line.answers.failed.is_set() for line in lines):
            break
    return late


def summary(
    answers: Answers, due: NDArray[np.float64], first: int, sessions: int, now: float, sender_late: float
) -> OpenLoop:
    """What `answers` to frames that were due at `due` [T, B] come to, those before frame `first` apart.

    A frame without an answer has waited until `now` at least.
    """
    waited = np.where(np.isnan(answers.ended), now, answers.ended) - due
    missed = ((waited > FRAME_S) | np.isnan(answers.ended))[first:].mean(axis=0)
    shares = np.concatenate([missed, np.ones(sessions - missed.size)])
    steps = [step for step in answers.steps if step[0] >= due[first, 0]] or answers.steps
    return OpenLoop(
        seconds=FRAME_S * (len(due) - first),
        warm_up_s=FRAME_S * first,
        step=Quantiles.of([ended - began for began, ended, _ in steps]),
        mean_batch=float(np.mean([batch for *_, batch in steps])),
        answer=Quantiles.of(waited[first:]),
        missed=float(shares.mean()),
        missed_worst=float(shares.max()),
        sender_late_ms=1000 * sender_late,
    )
