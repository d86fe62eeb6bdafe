from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.checkpoint import load
from engine.step.build import make_runner
from engine.step.frames import OwnFrame, Sampling
from engine.step.loop import StepOutput
from engine.step.measure import (
    PromptPart,
    StepTimes,
    fill,
    prompt_part,
    sessions_in_time,
    step_p99_s,
)
from engine.step.prefix import Prefix
from tests.engine.fake_clock import FakeClock
from tests.engine.fake_runner import FakeRunner


class TimedRunner(FakeRunner):
    """Steps that take as long as a test says, by a clock of its own; `steps`: how many sessions each had."""

    def __init__(self, took: Callable[[int], float]) -> None:
        super().__init__()
        self.join(dict.fromkeys(range(3), Sampling()))
        self.clock = FakeClock()
        self.steps: list[int] = []
        self._took = took

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        assert pcm.shape == (len(slots), 1920)
        self.steps.append(len(slots))
        self.clock.now += self._took(len(self.steps))
        return super().step(slots, pcm, own)


def p99(runner: TimedRunner, sessions: int = 1) -> float:
    return step_p99_s(runner, sessions, runner.clock)


def test_a_single_hiccup_does_not_count_and_two_do() -> None:
    assert p99(TimedRunner(lambda n: 0.5 if n == 17 else 0.020)) == pytest.approx(0.020)
    assert p99(TimedRunner(lambda n: 0.25 if n in (17, 18) else 0.020)) == pytest.approx(0.25)


def test_what_the_first_steps_take_is_not_measured() -> None:
    assert p99(TimedRunner(lambda n: 1.0 if n <= 3 else 0.005)) == pytest.approx(0.005)


@pytest.mark.parametrize(("step_s", "steps"), [(0.001, 203), (0.020, 43), (2.0, 4)])
def test_a_measurement_takes_less_than_a_second_unless_one_step_does(step_s: float, steps: int) -> None:
    runner = TimedRunner(lambda _: step_s)
    p99(runner, sessions=3)
    assert runner.steps == pytest.approx([3] * steps, abs=1)


@pytest.mark.parametrize(
    ("constant_ms", "each_ms", "sessions"),
    [
        (8, 0.64, 83),
        (9, 0.75, 68),
        (11, 0.85, 55),
        (7, 0.40, 100),
        (30, 1.01, 8),
        (33, 1.2, 2),
        (29.9, 10, 0),
        (40, 0, 0),
    ],
)
def test_sessions_are_offered_while_a_full_step_and_a_single_one_leave_10_ms(
    constant_ms: float, each_ms: float, sessions: int
) -> None:
    asked: list[int] = []

    def step_s(count: int) -> float:
        asked.append(count)
        return (constant_ms + each_ms * count) / 1000

    found, times = sessions_in_time(step_s, 100)
    assert found == sessions
    assert len(set(asked)) <= 9
    if found:
        assert times.answer_s(found) == pytest.approx((2 * constant_ms + each_ms * (found + 1)) / 1000)
        assert times.answer_s(found) <= 0.070


def test_a_busy_moment_is_not_taken_for_a_slow_device() -> None:
    busy = iter((1.0, 0.2, 0.010, 0.3, 0.020))
    assert sessions_in_time(lambda _: next(busy), 8) == (8, StepTimes({1: 0.010, 8: 0.020}))
    assert next(busy, None) is None
    assert sessions_in_time(lambda _: 0.036, 8) == (0, StepTimes({1: 0.036}))


def test_one_slot_is_measured_once() -> None:
    assert sessions_in_time(lambda _: 0.030, 1) == (1, StepTimes({1: 0.030}))


def test_between_two_measurements_lies_a_line() -> None:
    times = StepTimes({9: 0.030, 1: 0.010, 5: 0.016})
    assert [times.step_s(n) for n in (1, 3, 5, 7)] == pytest.approx([0.010, 0.013, 0.016, 0.023])
    assert times.answer_s(7) == pytest.approx(0.033)


def test_a_runner_whose_contexts_are_full_can_be_timed() -> None:
    model = load("random:tiny", torch.device("cpu"))
    runner = make_runner(model, slots=3)
    context = model.lm.config.transformer.context
    fill(runner, 3, context)
    assert 0 < step_p99_s(runner, 3) < 10


class TimedPrompts(TimedRunner):
    """Each position takes `position_s`, those of the first prompt of each size ten times as long."""

    def __init__(self, position_s: float) -> None:
        super().__init__(lambda _: 0.0)
        self._position_s = position_s
        self._compiled = set[int]()

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        assert prefix.tokens.shape == (17, 1500)
        first = len(positions) not in self._compiled
        self.clock.now += len(positions) * self._position_s * (10 if first else 1)
        if positions.stop == prefix.length:
            self._compiled |= {len(positions), *(len(part) for _, part in self.prefilled)}
        super().prefill(slot, sampling, prefix, positions)


@pytest.mark.parametrize(
    ("position_s", "found"),
    [(0.00005, PromptPart(256, 0.0128)), (0.0001, PromptPart(128, 0.0128)), (0.01, PromptPart(16, 0.16))],
)
def test_as_much_of_a_prompt_is_run_at_once_as_takes_no_longer_than_a_step(
    position_s: float, found: PromptPart
) -> None:
    runner = TimedPrompts(position_s)
    part = prompt_part(runner, 17, 1500, 0.020, lambda: None, runner.clock)
    assert part.positions == found.positions
    assert part.longest_s == pytest.approx(found.longest_s)


def test_who_begins_with_a_prompt_makes_nobody_late_who_has_a_seat() -> None:
    def step_s(sessions: int) -> float:
        return (10 + sessions) / 1000

    part = PromptPart(256, 0.015)
    alone, _ = sessions_in_time(step_s, 100)
    with_prompts, times = sessions_in_time(step_s, 100, prompt=part)
    assert (alone, with_prompts) == (49, 34)
    assert times.answer_s(34) == pytest.approx(0.070)
    # A turn of the others before the part of a prompt, and one after it.
    assert sessions_in_time(step_s, 100, 0.010, part)[0] == 14


def test_the_longest_that_is_done_at_once_is_of_any_model_or_a_prompt() -> None:
    steps = {1: 0.010, 4: 0.020}
    assert StepTimes(steps).longest_s(4) == 0.020
    assert StepTimes(steps, between_s=0.3).longest_s(4) == 0.3
    assert StepTimes(steps, between_s=0.3, prompt=PromptPart(256, 0.5)).longest_s(4) == 0.5
