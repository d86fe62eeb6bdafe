"""A session that begins with given tokens."""

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.checkpoint import Model, load
from engine.step.eager_runner import EagerRunner
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep
from engine.step.prefix import Prefix, fed_tokens, without_wrap

CPU = torch.device("cpu")
SLOT = 1


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


def random_prefix(model: Model, length: int) -> Prefix:
    generator = torch.Generator().manual_seed(length)
    shape = 1 + model.lm.config.n_q, length
    return Prefix(torch.randint(0, model.lm.config.card, shape, generator=generator).numpy())


class Forced:
    """The same by single steps: before each the tokens that are due are put where the model said its own."""

    def __init__(self, model: Model, forced: Prefix) -> None:
        config, prefix = model.lm.config, torch.from_numpy(forced.tokens)
        self.step = MoshiStep(model.mimi, model.lm, 3)
        self.step.join(SLOT, Sampling(seed=9))
        slots, cache, own = torch.tensor([SLOT]), self.step._tokens, 1 + config.own_codebooks
        for time in range(prefix.shape[1]):
            self._force(cache.tokens[SLOT], prefix, time, cache.capacity, config.delays)
            self.step._language(slots, prefix[own:, time][None])
        self._force(cache.tokens[SLOT], prefix, prefix.shape[1], cache.capacity, config.delays)

    @staticmethod
    def _force(tokens: Tensor, prefix: Tensor, position: int, capacity: int, delays: tuple[int, ...]) -> None:
        for channel, delay in enumerate(delays):
            if 0 <= position - delay < prefix.shape[1]:
                tokens[channel, position % capacity] = prefix[channel, position - delay]


def go_on(step: MoshiStep, frames: int) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    slots = torch.tensor([SLOT])
    return [list(step(slots, 0.1 * torch.randn(1, 1920, generator=generator))) for _ in range(frames)]


# The context is 100 positions.
@pytest.mark.parametrize("cuts", [(40,), (1,), (2,), (13, 39, 40), (39, 40), (100,), (64, 130)])
def test_a_prefix_in_parts_is_to_the_last_bit_what_forced_steps_are(
    model: Model, cuts: tuple[int, ...]
) -> None:
    prefix = random_prefix(model, cuts[-1])
    runner = EagerRunner(step := MoshiStep(model.mimi, model.lm, 3), CPU)
    for start, stop in zip((0, *cuts), cuts, strict=False):
        runner.prefill(SLOT, Sampling(seed=9), prefix, range(start, stop))
    stepped = Forced(model, prefix).step
    # Mimi has not heard any of it.
    for ours, expected in zip(step._lm_state.held(SLOT), stepped._lm_state.held(SLOT), strict=True):
        assert torch.equal(ours, expected)
    for answer, same in zip(go_on(step, 4), go_on(stepped, 4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(answer, same, strict=True))


def test_another_prefix_leads_to_another_answer(model: Model) -> None:
    answers = []
    for seed in (20, 21):
        runner = EagerRunner(MoshiStep(model.mimi, model.lm, 3), CPU)
        runner.prefill(SLOT, Sampling(seed=9), random_prefix(model, seed), range(seed))
        answers.append(runner.step([SLOT], np.zeros((1, 1920), np.int16)).codes.tolist())
    assert answers[0] != answers[1]


def test_neighbours_step_between_the_parts_of_a_prefix_as_if_alone(model: Model) -> None:
    frames = np.random.default_rng(0).normal(0, 2000, (4, 1, 1920)).astype(np.int16)
    answers = []
    for crowded in (False, True):
        runner = EagerRunner(MoshiStep(model.mimi, model.lm, 3), CPU)
        runner.join({0: Sampling(seed=1)})
        said = []
        for number, frame in enumerate(frames):
            if crowded:
                positions = range(8 * number, 8 * number + 8)
                runner.prefill(SLOT, Sampling(), random_prefix(model, 32), positions)
            out = runner.step([0], frame)
            said.append((out.pcm.tolist(), out.codes.tolist()))
        answers.append(said)
    assert answers[0] == answers[1]


def test_a_token_is_fed_as_late_as_its_channel_is_delayed(model: Model) -> None:
    config = model.lm.config
    prefix = torch.arange(1, 6) + 10 * torch.arange(1 + config.n_q)[:, None]
    fed = fed_tokens(config, prefix, range(0, 4))
    assert fed[0].tolist() == [config.text_card, 2, 3, 4]
    assert fed[1].tolist() == [config.card, 12, 13, 14]
    assert fed[2].tolist() == [config.card, config.card, 22, 23]
    assert torch.equal(fed_tokens(config, prefix, range(2, 4)), fed[:, 2:])


@pytest.mark.parametrize(
    ("positions", "pieces"),
    [
        (range(0, 90), [range(0, 90)]),
        (range(90, 103), [range(90, 100), range(100, 101), range(101, 102), range(102, 103)]),
        (range(5, 5), []),
    ],
)
def test_no_part_overwrites_what_it_still_sees(positions: range, pieces: list[range]) -> None:
    assert list(without_wrap(positions, 100)) == pieces
