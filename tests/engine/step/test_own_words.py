"""Sessions whose words are given to them for a while, beside others."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.checkpoint import Model, load
from engine.step.eager_runner import EagerRunner
from engine.step.frames import OwnFrame, Sampling
from engine.step.graph_runner import GraphRunner
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from tests.engine.step.plain_graphs import PlainGraphs

CPU = torch.device("cpu")
SPEAKER, NEIGHBOUR = 2, 0
WORDS = range(5, 9)
"""The frames of the speaker's that are given."""


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


def sound(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, (16, 1920)).astype(np.int16)


HEARD, SAID = sound(0), sound(1)


def given(frame: int, first: int = WORDS.start) -> OwnFrame | None:
    return OwnFrame(SAID[frame - first], 20 + frame) if frame in WORDS else None


def eager(model: Model, slots: int = 3) -> EagerRunner:
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, slots), CPU)
    runner.join({slot: Sampling(seed=slot) for slot in range(slots)})
    return runner


def same(one: StepOutput, other: StepOutput, row: int = 0) -> bool:
    names = ("pcm", "text", "codes", "user_codes")
    return all(np.array_equal(getattr(one, name)[row], getattr(other, name)[row]) for name in names)


def test_what_is_given_is_what_is_said_in_that_frame_and_what_is_heard_stays(model: Model) -> None:
    runner, free = eager(model), eager(model)
    codec = MoshiStep(model.mimi, model.lm, 1)
    codec.begin_words(torch.tensor([0]))
    for number, frame in enumerate(HEARD):
        own = given(number)
        out = runner.step([SPEAKER], frame[None], [own])
        alone = free.step([SPEAKER], frame[None])
        assert np.array_equal(out.user_codes, alone.user_codes)
        if own is not None:
            codes = codec.own_codes(torch.tensor([0]), torch.from_numpy(own.pcm / 2**15)[None].float())
            assert (out.text.tolist(), out.codes.tolist()) == ([own.text_token], codes.tolist())
        elif number < WORDS.start:
            assert same(out, alone)
    assert not same(out, alone), "what was given is remembered"


def test_neighbours_are_to_the_last_bit_what_they_are_without_it(model: Model) -> None:
    crowd, alone = eager(model), eager(model)
    for number, frame in enumerate(HEARD):
        # In another order each time, and sometimes without one of them.
        slots = [SPEAKER, NEIGHBOUR] if number % 2 else [NEIGHBOUR, SPEAKER]
        frames = np.stack([frame, frame])
        own = [given(number) if slot == SPEAKER else None for slot in slots]
        out = crowd.step(slots, frames, own)
        expected = alone.step([NEIGHBOUR], frame[None])
        row = slots.index(NEIGHBOUR)
        for name in ("pcm", "text", "codes", "user_codes"):
            assert np.array_equal(getattr(out, name)[row], getattr(expected, name)[0])


def test_words_leave_nothing_behind_for_the_next_ones_nor_for_who_comes_next(model: Model) -> None:
    """Each is heard as if nothing had been heard before it: an answer, and who takes the slot over."""
    first, used = eager(model), eager(model)
    for number in range(3):
        used.step([SPEAKER], HEARD[number][None], [OwnFrame(SAID[number + 5], 9)])
    used.join({SPEAKER: Sampling(seed=SPEAKER)})
    for number in range(4):
        own = OwnFrame(SAID[number], 9)
        one, other = (runner.step([SPEAKER], HEARD[number][None], [own]) for runner in (first, used))
        assert same(one, other)
    between = used.step([SPEAKER], HEARD[4][None])
    assert between.codes.tolist() != other.codes.tolist()
    again = used.step([SPEAKER], HEARD[5][None], [OwnFrame(SAID[0], 9)])
    fresh = eager(model).step([SPEAKER], HEARD[0][None], [OwnFrame(SAID[0], 9)])
    assert again.codes.tolist() == fresh.codes.tolist()


def test_a_session_that_is_moved_in_the_middle_of_its_words_goes_on(model: Model) -> None:
    here, there = eager(model), eager(model)
    stays = eager(model)
    for number in range(7):
        for runner in (here, stays):
            runner.step([SPEAKER], HEARD[number][None], [given(number)])
    # Who was there before was in the middle of words of their own.
    there.step([NEIGHBOUR], HEARD[:1], [given(WORDS.start)])
    snapshot, done = here.snapshot(SPEAKER)
    assert done()
    assert there.restore(NEIGHBOUR, snapshot)()
    moved = there.step([NEIGHBOUR], HEARD[7][None], [given(7, first=7)])
    stayed = stays.step([SPEAKER], HEARD[7][None], [given(7, first=7)])
    assert moved.text.tolist() == stayed.text.tolist() == [27]
    fresh = eager(model).step([SPEAKER], HEARD[0][None], [given(7, first=7)])
    assert moved.codes.tolist() == fresh.codes.tolist(), "its words are heard anew, from there on"
    for number in range(8, 12):
        assert np.array_equal(
            there.step([NEIGHBOUR], HEARD[number][None]).user_codes,
            stays.step([SPEAKER], HEARD[number][None]).user_codes,
        )


def test_a_batch_without_words_encodes_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = eager(model)

    def never(*_args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(runner._step, "own_codes", never)
    for own in ((), (None, None)):
        runner.step([SPEAKER, NEIGHBOUR], HEARD[:2], own)


def test_graphs_say_what_single_operations_do(model: Model) -> None:
    slots = 12
    plain = eager(model, slots)
    graphs = GraphRunner(MoshiStep(model.mimi, model.lm, slots), CPU, PlainGraphs())
    graphs.join({slot: Sampling(seed=slot) for slot in range(slots)})
    for number in range(6):
        frames = np.stack([HEARD[(number + slot) % 16] for slot in range(slots)])
        # None, some, and more than are encoded at once.
        most = (0, 2, 12, 9, 0, 1)[number]
        own = [OwnFrame(SAID[slot], slot + 5) if slot < most else None for slot in range(slots)]
        one, other = (runner.step(range(slots), frames, own) for runner in (plain, graphs))
        assert all(same(one, other, row) for row in range(slots))
