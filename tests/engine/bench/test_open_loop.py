import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.bench.open_loop import Answers, StepFailed, Talkers, run_open_loop, summary
from engine.bench.sound import Sound
from engine.step.frames import FRAME_S, OwnFrame, Sampling
from engine.step.loop import StepOutput
from tests.engine.fake_runner import FakeRunner

FIRST = 2
"""Frames of warm-up in the made-up answers."""


@pytest.fixture
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.bench.open_loop.WARM_UP_S", 2 * FRAME_S)


def answers(waits: np.ndarray) -> tuple[Answers, np.ndarray]:
    """As if frames [T, B], due one frame apart, had been answered after `waits` seconds, NaN never."""
    due = FRAME_S * np.arange(len(waits))[:, None] + np.zeros(waits.shape)
    made = Answers(waits.shape[1], len(waits))
    made.ended[:] = due + waits
    made.steps = [(float(at), float(at) + 0.01, waits.shape[1]) for at in due[:, 0]]
    return made, due


def test_an_answer_later_than_a_frame_lasts_is_missed_and_warm_up_does_not_count() -> None:
    waits = np.full((FIRST + 10, 2), 0.03)
    waits[:FIRST] = 5.0
    waits[FIRST + 3, 1] = FRAME_S + 0.001
    made, due = answers(waits)
    found = summary(made, due, FIRST, sessions=2, now=100.0, sender_late=0.0)
    assert (found.missed, found.missed_worst) == pytest.approx((1 / 20, 1 / 10))
    assert found.answer.count == 20
    assert found.answer.p50 == pytest.approx(30)
    assert found.answer.max == pytest.approx(81)
    assert (found.step.count, found.mean_batch) == (10, 2)
    assert found.seconds == pytest.approx(10 * FRAME_S)


def test_a_frame_without_an_answer_is_missed_and_has_waited_until_now() -> None:
    waits = np.full((FIRST + 10, 1), 0.03)
    waits[-1] = np.nan
    made, due = answers(waits)
    found = summary(made, due, FIRST, sessions=1, now=float(due[-1, 0]) + 2.0, sender_late=0.0)
    assert found.missed == pytest.approx(1 / 10)
    assert found.answer.max == pytest.approx(2000)


def test_refused_sessions_miss_all_of_their_frames() -> None:
    made, due = answers(np.full((FIRST + 10, 3), 0.03))
    found = summary(made, due, FIRST, sessions=4, now=100.0, sender_late=0.0)
    assert (found.missed, found.missed_worst) == pytest.approx((0.25, 1.0))


@pytest.mark.usefixtures("_short_warm_up")
def test_every_session_speaks_on_its_schedule_whatever_is_answered() -> None:
    runner = FakeRunner()
    runner.join({slot: Sampling() for slot in range(3)})
    (found,) = run_open_loop([Talkers(runner, Sound(3), sessions=3)], seconds=4 * FRAME_S)
    assert found.answer.count == 12
    asked = [slot for batch in runner.batches for slot in batch]
    assert {slot: asked.count(slot) for slot in asked} == {0: 6, 1: 6, 2: 6}
    assert found.mean_batch >= 1


@pytest.mark.usefixtures("_short_warm_up")
def test_a_step_that_fails_ends_the_level() -> None:
    runner = FakeRunner()
    runner.join({0: Sampling()})
    runner.broken = "out of order"
    with pytest.raises(StepFailed):
        run_open_loop([Talkers(runner, Sound(1), sessions=1)], seconds=5.0)


@pytest.mark.usefixtures("_short_warm_up")
def test_two_models_speak_at_the_same_time_and_never_step_at_once() -> None:
    steps = list[str]()

    class Alone(FakeRunner):
        """Notices another that steps while it does."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def step(
            self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
        ) -> StepOutput:
            steps.append(f"{self.name} begins")
            time.sleep(0.002)
            answer = super().step(slots, pcm, own)
            steps.append(f"{self.name} ends")
            return answer

    calls, words = Alone("calls"), Alone("words")
    calls.join({0: Sampling()})
    words.join({slot: Sampling() for slot in range(2)})
    talkers = [Talkers(calls, Sound(1), sessions=2), Talkers(words, Sound(2), sessions=2)]
    found = run_open_loop(talkers, seconds=4 * FRAME_S)
    assert [loop.answer.count for loop in found] == [4, 8]
    assert [sum(map(len, runner.batches)) for runner in (calls, words)] == [6, 12]
    assert found[0].missed_worst == 1
    assert all(
        ends == begins.replace("begins", "ends") for begins, ends in zip(steps[::2], steps[1::2], strict=True)
    )
