import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from load_tests.simulation.scheduler import Load, Steps, predict, run
from load_tests.simulation.spells import Spells
from load_tests.simulation.step_times import StepTimes


def steps_ms(arrived: ArrayLike, base_ms: float, each_ms: float) -> Steps:
    """Of frames that arrive at so many milliseconds, [T, B]."""
    times_s = np.asarray(arrived, np.float64) / 1000
    return run(times_s, StepTimes.line(base_ms, each_ms), Spells(0.0, np.random.default_rng(0)))


def test_a_frame_alone_begins_at_once() -> None:
    steps = steps_ms([[5.0], [85.0]], 10.0, 0.0)
    assert 1000 * steps.began == pytest.approx(np.array([[5.0], [85.0]]))
    assert 1000 * steps.ended == pytest.approx(np.array([[15.0], [95.0]]))


def test_what_comes_during_a_step_goes_into_the_next_together() -> None:
    steps = steps_ms([[0.0, 3.0, 9.0]], 10.0, 1.0)
    assert steps.batches.tolist() == [1, 2]
    assert 1000 * steps.began == pytest.approx(np.array([[0.0, 11.0, 11.0]]))
    assert 1000 * steps.ended == pytest.approx(np.array([[11.0, 23.0, 23.0]]))


def test_a_session_that_is_behind_has_one_frame_in_a_step() -> None:
    steps = steps_ms([[0.0], [80.0], [160.0]], 200.0, 0.0)
    assert steps.batches.tolist() == [1, 1, 1]
    assert 1000 * steps.ended == pytest.approx(np.array([[200.0], [400.0], [600.0]]))


@pytest.mark.parametrize(
    ("sessions", "base_ms", "each_ms"), [(40, 8.0, 0.64), (80, 7.0, 0.40), (80, 9.0, 0.50)]
)
def test_steps_hold_as_many_as_the_fixed_point_says_and_no_answer_is_later_than_the_bound(
    sessions: int, base_ms: float, each_ms: float
) -> None:
    level = predict(Load(sessions, 20.0, "random", 0.003), StepTimes.line(base_ms, each_ms))
    # A step answers what came during the one before it: B = N S(B) / 80 ms.
    step_ms = base_ms / (1 - each_ms * sessions / 80)
    assert level.mean_batch == pytest.approx(sessions * step_ms / 80, rel=0.02)
    assert level.step.p50 == pytest.approx(step_ms, rel=0.05)
    assert level.answer.max <= 2 * base_ms + each_ms * sessions
    assert level.missed == 0.0
    assert level.offered


@pytest.mark.parametrize("phases", ["even", "random", "aligned"])
def test_aligned_frames_all_wait_for_one_step_and_none_misses(phases: str) -> None:
    level = predict(Load(40, 10.0, phases), StepTimes.line(8.0, 0.64))  # type: ignore[arg-type]
    assert (level.mean_batch == 40) == (phases == "aligned")
    assert level.missed == 0.0


def test_more_than_can_be_answered_is_missed_by_all_and_said_to_be() -> None:
    level = predict(Load(80, 20.0), StepTimes.line(11.0, 0.95))
    assert level.missed > 0.9
    assert not level.solved
    assert not level.offered


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    load, times = Load(20, 5.0, "random", 0.01), StepTimes.line(8.0, 0.64)
    assert predict(load, times, 3) == predict(load, times, 3)
    assert predict(load, times, 3) != predict(load, times, 4)


def test_jitter_never_turns_the_order_of_a_sessions_frames_around() -> None:
    arrived = Load(5, 5.0, "random", 0.5).arrivals(np.random.default_rng(0))
    assert (np.diff(arrived, axis=0) >= 0).all()
    assert len(arrived) == math.ceil(2.0 / 0.08) + 62
