"""Batches of exactly a captured size; empty rows need kernels (tests/kernels/test_whole_step.py)."""

import numpy as np
import pytest
import torch

from engine.checkpoint import Model, load
from engine.step.captured import batch_sizes
from engine.step.eager_runner import EagerRunner
from engine.step.frames import Sampling
from engine.step.graph_runner import GraphRunner
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from tests.engine.step.plain_graphs import PlainGraphs

CPU = torch.device("cpu")
BATCHES = ([0], [2, 0], [1, 3, 0, 2], [3, 1], [2])


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


def sound(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.random.default_rng(0).normal(0, 3000, (*shape, 1920)).astype(np.int16)


def graph_runner(model: Model, slots: int) -> tuple[GraphRunner, PlainGraphs]:
    graphs = PlainGraphs()
    return GraphRunner(MoshiStep(model.mimi, model.lm, slots), CPU, graphs), graphs


def run(runner: EagerRunner) -> list[StepOutput]:
    runner.join({slot: Sampling(seed=slot) for slot in range(4)})
    return [runner.step(slots, sound(4)[: len(slots)]) for slots in BATCHES]


def test_replayed_steps_answer_as_eager_ones(model: Model) -> None:
    expected = run(EagerRunner(MoshiStep(model.mimi, model.lm, 4), CPU))
    replayed = run(graph_runner(model, 4)[0])
    for ours, theirs in zip(replayed, expected, strict=True):
        for name in ("pcm", "text", "codes", "user_codes"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


def test_an_answer_outlives_the_next_step(model: Model) -> None:
    runner, _ = graph_runner(model, 1)
    runner.join({0: Sampling()})
    frames = sound(2)
    answer = runner.step([0], frames[:1])
    kept = answer.pcm.copy(), answer.codes.copy()
    assert not np.array_equal(runner.step([0], frames[1:]).pcm, kept[0])
    assert np.array_equal(answer.pcm, kept[0])
    assert np.array_equal(answer.codes, kept[1])


def test_the_largest_graph_is_captured_first_and_the_smallest_that_holds_a_batch_runs_it(
    model: Model,
) -> None:
    runner, graphs = graph_runner(model, 4)
    # Steps of 4, 2 and 1 rows, then primings and given words of as many.
    assert graphs.captured == 9
    runner.join({0: Sampling(), 1: Sampling()})
    runner.step([0, 1], sound(2))
    runner.step([1], sound(1))
    assert graphs.replayed == [4, 1, 2]


def test_a_step_waits_for_the_device_once(model: Model) -> None:
    runner, graphs = graph_runner(model, 2)
    runner.join({0: Sampling()})
    before = graphs.waits
    runner.step([0], sound(1))
    assert graphs.waits == before + 1


def test_many_that_join_at_once_are_primed_some_at_a_time(model: Model) -> None:
    runner, graphs = graph_runner(model, 12)
    runner.join({slot: Sampling(seed=slot) for slot in range(12)})
    assert len(graphs.replayed) == 2
    eager = EagerRunner(MoshiStep(model.mimi, model.lm, 12), CPU)
    eager.join({slot: Sampling(seed=slot) for slot in range(12)})
    frames = sound(12)
    answers = (each.step(range(12), frames) for each in (runner, eager))
    ours, expected = (answer.codes for answer in answers)
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (4, (1, 2, 4)), (7, (1, 2, 4, 7)), (40, (1, 2, 4, 8, 12, 16, 24, 32, 40)), (64, None)],
)
def test_graphs_are_captured_for_a_short_list_of_batch_sizes(
    most: int, sizes: tuple[int, ...] | None
) -> None:
    assert batch_sizes(most) == (sizes or (1, 2, 4, 8, 12, 16, 24, 32, 48, 64))
