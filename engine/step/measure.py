"""How many sessions a device serves in time, found out on the device itself before the first call."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.step.frames import FRAME_S, FRAME_SAMPLES, Sampling
from engine.step.loop import Runner
from engine.step.prefix import Prefix
from engine.step.ready_queue import MOST_POSITIONS, parts

MARGIN_S = 0.010
"""For what is not the step: sockets, and noise of the machine that the measurement did not see."""
_WARM_UP_STEPS = 3
_MOST_STEPS = 200
_SECONDS = 0.8
_LEAST_POSITIONS = 16
_TRIES = 3


class FilledRunner(Runner, Protocol):
    """A runner whose sessions can be made as slow as those of long calls."""

    def fill_context(self, positions: int) -> None:
        """Let every slot have seen so many positions, of random contents."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """How many positions of a prompt are run at once, and how long that takes, in seconds."""

    positions: int = MOST_POSITIONS
    longest_s: float = 0.0


_NO_PROMPT = PromptPart()


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The 99th percentile of a step in seconds, by its number of sessions; that of one is among them.

    between_s: of the steps of other models on the same device, which take their turns between two of these;
    prompt: what a session that begins with one may run between two of these as well.
    """

    p99_s: Mapping[int, float]
    between_s: float = 0.0
    prompt: PromptPart = _NO_PROMPT

    def step_s(self, sessions: int) -> float:
        """For any number of sessions up to the most that were measured."""
        counts = sorted(self.p99_s)
        return float(np.interp(sessions, counts, [self.p99_s[count] for count in counts]))

    def answer_s(self, sessions: int) -> float:
        """How long after its frame the latest answer leaves the step, with so many sessions.

        A frame waits for the step that has begun, and is in the next. As long as all are in time these two
        hold each session once at most, so they take no longer than a step with all and one with hardly any.
        Of another model at most one step comes between them, of prompts at most one part; and where that
        does, the other models have their turns before it and after it.
        """
        prompt_s = self.prompt.longest_s
        return self.step_s(sessions) + self.step_s(1) + prompt_s + (2 if prompt_s else 1) * self.between_s

    def longest_s(self, sessions: int) -> float:
        """The longest that the device is at one thing, with so many sessions at most."""
        return max(self.step_s(sessions), self.between_s, self.prompt.longest_s)

    def in_time(self, sessions: int) -> bool:
        """Whether the latest answer comes before the next frame, with a margin."""
        return self.answer_s(sessions) + MARGIN_S <= FRAME_S


def sessions_in_time(
    step_s: Callable[[int], float], most: int, between_s: float = 0.0, prompt: PromptPart = _NO_PROMPT
) -> tuple[int, StepTimes]:
    """The most sessions, 0 to `most`, that are served in time, and what was measured to find them.

    step_s: measures a step with so many sessions, in seconds. More take longer, so halving finds the number.
    What is late is measured again, for a device that is busy for a moment is not slow. between_s, prompt: as
    `StepTimes` has them.
    """
    measured: dict[int, float] = {}
    times = StepTimes(measured, between_s, prompt)

    def in_time(sessions: int) -> bool:
        for _ in range(_TRIES):
            measured[sessions] = min(step_s(sessions), measured.get(sessions, math.inf))
            if times.in_time(sessions):
                return True
        return False

    if not in_time(1):
        return 0, times
    served, late = 1, most + 1
    sessions = most
    while late - served > 1:
        served, late = (sessions, late) if in_time(sessions) else (served, sessions)
        sessions = (served + late) // 2
    return served, times


def step_p99_s(runner: Runner, sessions: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The 99th percentile of a step with the first slots, which have joined, in seconds; takes one or less.

    Of so few steps the slowest does not count: it may be the one in a hundred.
    """
    slots = range(sessions)
    noise = np.random.default_rng(0).normal(0, 2000, (sessions, FRAME_SAMPLES)).astype(np.int16)
    for _ in range(_WARM_UP_STEPS):
        runner.step(slots, noise)
    times: list[float] = []
    began = clock()
    while not times or (len(times) < _MOST_STEPS and clock() - began < _SECONDS):
        before = clock()
        runner.step(slots, noise)
        times.append(clock() - before)
    return float(np.percentile(times, 99, method="lower"))


def prompt_part(
    runner: Runner,
    channels: int,
    longest: int,
    step_s: float,
    wait: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> PromptPart:
    """How many positions of a prompt take no longer than a step of `step_s`, so that nobody's frame waits
    longer for a prompt than for another frame; a few at least.

    channels, longest: of a prompt's tokens and positions; wait: until the device has done what it was given.
    What the first prompt compiles no caller waits for.
    """
    prefix = Prefix(np.zeros((channels, longest), np.int64))

    def slowest_s(positions: int) -> float:
        """The last parts see the most, and of many others a mean would hide how long they take."""
        times = []
        for part in parts(longest, positions):
            before = clock()
            runner.prefill(0, Sampling(), prefix, part)
            wait()
            times.append(clock() - before)
        return max(times)

    positions = MOST_POSITIONS
    while True:
        slowest_s(positions)
        longest_s = min(slowest_s(positions) for _ in range(_TRIES))
        if longest_s <= step_s or positions <= _LEAST_POSITIONS:
            return PromptPart(positions, longest_s)
        positions //= 2


def fill(runner: FilledRunner, slots: int, context: int) -> None:
    """Sessions in all slots, each in a call so long that its whole context is full."""
    runner.join({slot: Sampling(seed=slot) for slot in range(slots)})
    runner.fill_context(context)
