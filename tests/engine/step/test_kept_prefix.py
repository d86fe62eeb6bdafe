"""What a prefix leaves behind, kept for the sessions after the first."""

import numpy as np
import pytest
import torch

from engine.checkpoint import Model, load
from engine.models.embedding import embed
from engine.step.eager_runner import EagerRunner
from engine.step.frames import Frame, Sampling, SlotRef
from engine.step.moshi_step import MoshiStep
from engine.step.moves import HostCopy, Keep, Lift, Mover, Recall
from engine.step.prefix import Prefix, fed_tokens
from engine.step.ready_queue import Join, Prefill, ReadyQueue
from tests.engine.step.test_prefill import CPU, random_prefix

FIRST, OTHER, LATER = SlotRef(1, 1), SlotRef(2, 1), SlotRef(1, 3)
LONG = Prefix(np.zeros((17, 300), np.int64))


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


FRAME = Frame(FIRST, 0, np.zeros(1920, np.int16), complete_at=0.0)


def test_who_is_first_leaves_a_copy_before_the_last_position() -> None:
    queue, copy = ReadyQueue(), HostCopy()
    join = Join(FIRST, Sampling(), LONG, copy)
    queue.join(join)
    queue.put(FRAME)
    assert [queue.take() for _ in range(3)] == [
        Prefill(join, range(256)),
        Prefill(join, range(256, 299)),
        Keep(FIRST, copy),
    ]
    assert queue.take(wait_s=0.01) == [], "what is being copied stays as it is"
    queue.moved()
    assert [queue.take(), queue.take()] == [Prefill(join, range(299, 300)), [FRAME]]


def test_who_comes_later_begins_with_that_copy(model: Model) -> None:
    queue, copy = ReadyQueue(), HostCopy(EagerRunner(MoshiStep(model.mimi, model.lm, 1), CPU).snapshot(0)[0])
    join = Join(FIRST, Sampling(), LONG, copy)
    queue.join(join)
    queue.put(FRAME)
    assert queue.take() == Recall(FIRST, copy)
    assert queue.take(wait_s=0.01) == []
    queue.moved()
    assert [queue.take(), queue.take()] == [Prefill(join, range(299, 300)), [FRAME]]


def test_others_begin_while_a_copy_is_made() -> None:
    queue = ReadyQueue()
    first, other = Join(FIRST, Sampling(), LONG, HostCopy()), Join(OTHER, Sampling(), LONG)
    queue.join(first)
    assert [type(queue.take()) for _ in range(3)] == [Prefill, Prefill, Keep]
    queue.join(other)
    assert [queue.take(), queue.take()] == [Prefill(other, range(256)), Prefill(other, range(256, 300))]


def test_a_session_that_ends_is_not_copied_and_one_that_is_being_copied_keeps_its_slot_until_then() -> None:
    queue = ReadyQueue()
    queue.join(Join(FIRST, Sampling(), LONG, HostCopy()))
    for _ in range(2):
        queue.take()
    queue.leave(FIRST)
    assert queue.take(wait_s=0.01) == []
    queue.join(Join(FIRST, Sampling(), LONG, HostCopy()))
    for _ in range(3):
        queue.take()
    queue.leave(FIRST)
    queue.join(Join(LATER, Sampling()))
    assert queue.take(wait_s=0.01) == []
    queue.moved()
    assert queue.take() == [Join(LATER, Sampling())]


def test_a_prefix_waits_for_the_session_that_leaves_its_slot() -> None:
    queue = ReadyQueue()
    lift = Lift(FIRST, HostCopy())
    queue.move(lift)
    queue.join(join := Join(LATER, Sampling(), LONG, HostCopy()))
    assert queue.take() == lift
    assert queue.take(wait_s=0.01) == []
    queue.moved()
    assert queue.take() == Prefill(join, range(256))


def test_a_session_that_begins_with_a_copy_is_to_the_last_bit_as_one_that_ran_its_prefix(
    model: Model,
) -> None:
    prefix, length = random_prefix(model, 40), 40
    mine = Sampling(seed=5, temperature=0.9, temperature_text=0.8)
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, 4), CPU)
    copy, over = HostCopy(), list[bool]()
    mover = Mover(runner, lambda _move, arrived: over.append(arrived))
    runner.prefill(0, Sampling(seed=99), prefix, range(length - 1))
    mover.begin(Keep(SlotRef(0, 1), copy))
    mover.poll()
    runner.prefill(0, Sampling(seed=99), prefix, range(length - 1, length))
    runner.join({2: Sampling(seed=7)})
    mover.begin(Recall(SlotRef(2, 3), copy))
    mover.poll()
    assert over == [True, True]
    runner.prefill(2, mine, prefix, range(length - 1, length))
    runner.prefill(3, mine, prefix, range(length))
    for sound in np.random.default_rng(0).normal(0, 3000, (6, 1920)).astype(np.int16):
        out = runner.step([2, 3, 0], np.stack([sound, sound, sound]))
        assert np.array_equal(out.pcm[0], out.pcm[1])
        assert (out.text[0], out.codes[0].tolist()) == (out.text[1], out.codes[1].tolist())
    assert not np.array_equal(out.codes[0], out.codes[2]), "another seed says something else"


@pytest.mark.parametrize("given", [1, 20, 39])
def test_vectors_do_what_the_tokens_do_that_they_stand_for(model: Model, given: int) -> None:
    prefix, config = random_prefix(model, 40), model.lm.config
    fed = fed_tokens(config, torch.from_numpy(prefix.tokens), range(given))
    vectors = embed(fed[None], model.lm.emb, model.lm.text_emb)[0]
    # Of the tokens that they stand for none is looked at, but for those that are still delayed.
    unseen = prefix.tokens.copy()
    unseen[:, : given - 1] = 0
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, 2), CPU)
    runner.prefill(0, Sampling(seed=3), prefix, range(40))
    for positions in (range(13), range(13, 40)):
        runner.prefill(1, Sampling(seed=3), Prefix(unseen, vectors), positions)
    for sound in np.random.default_rng(1).normal(0, 3000, (4, 1920)).astype(np.int16):
        out = runner.step([0, 1], np.stack([sound, sound]))
        assert (out.text[0], out.codes[0].tolist()) == (out.text[1], out.codes[1].tolist())
