"""Callers who speak in real time and wait for nobody, through the queue and the thread that serve calls."""

import math
import time
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from engine.bench.results import OpenLoop, Quantiles
from engine.bench.sound import Sound
from engine.step.frames import FRAME_S, Frame, SlotRef, StepResult
from engine.step.loop import Runner, StepLoop
from engine.step.ready_queue import ReadyQueue

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


def run_open_loop(runner: Runner, sound: Sound, sessions: int, seconds: float) -> OpenLoop:
    """Let the sessions of `sound`, which have joined, speak for `seconds` after a warm-up, phases spread.

    sessions: how many wanted to speak; those beyond `sound` were refused, and all of their frames are missed.
    Raises StepFailed.
    """
    seated = len(sound)
    first, count = math.ceil(WARM_UP_S / FRAME_S), max(1, round(seconds / FRAME_S))
    answers = Answers(seated, first + count)
    queue = ReadyQueue()
    loop = StepLoop(runner, queue, answers.deliver, answers.fail)
    slots = [SlotRef(index, 0) for index in range(seated)]
    phases = np.arange(seated) / seated
    # A frame is complete when its time has come: a sender that is late makes its answer later.
    due = time.monotonic() + _HEAD_START_S + FRAME_S * (np.arange(first + count)[:, None] + phases)
    loop.start()
    try:
        sender_late = _send(queue, slots, sound, due, answers)
        answers.complete.wait(max(0.0, due[-1, -1] + _LAST_ANSWERS_S - time.monotonic()))
    finally:
        loop.stop()
    if answers.failed.is_set():
        raise StepFailed("the step failed; its error is in the log")
    return summary(answers, due, first, sessions, time.monotonic(), sender_late)


def _send(
    queue: ReadyQueue, slots: list[SlotRef], sound: Sound, due: NDArray[np.float64], answers: Answers
) -> float:
    """Put every frame when it is due; the furthest behind that this was, in seconds."""
    late = 0.0
    for number, times in enumerate(due):
        frames = sound[number]
        for slot, at in zip(slots, times.tolist(), strict=True):
            early = at - time.monotonic()
            if early > 0:
                time.sleep(early)
            late = max(late, time.monotonic() - at)
            queue.put(Frame(slot, number, frames[slot.index], at))
        if answers.failed.is_set():
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
