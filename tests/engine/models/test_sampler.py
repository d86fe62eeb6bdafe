import torch
from torch import Tensor

from engine.checkpoint.random_weights import tiny_lm
from engine.models.noise import gumbel_noise
from engine.models.sampler import Draws, draw, sample
from engine.state.sampling_state import SamplingState


def draws(logits: Tensor, temperature: float, top_k: int, count: int, seed: int = 0) -> Tensor:
    rows = logits.expand(count, -1)
    noise = gumbel_noise(torch.full((count,), seed), torch.arange(count), range(1), logits.shape[-1])[:, 0]
    return sample(rows, noise, torch.full((count,), temperature), torch.full((count,), top_k))


def test_temperature_zero_takes_the_largest_logit_and_the_first_of_several() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert draws(logits, 0.0, 25, 20).tolist() == [logits.argmax().item()] * 20
    logits[[7, 31, 44]] = 9.0
    assert draws(logits, 0.0, 2, 20).tolist() == [7] * 20


def test_draws_follow_the_softmax_of_the_largest_logits() -> None:
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, 1.5])
    tokens = draws(logits, 0.7, 4, 8000)
    kept = torch.tensor([0, 1, 2, 5])
    assert set(tokens.tolist()) == set(kept.tolist())
    counts = torch.bincount(tokens, minlength=6)[kept]
    expected = (logits[kept] / 0.7).softmax(dim=-1) * 8000
    chi_square = ((counts - expected).square() / expected).sum()
    assert chi_square < 16.27  # one in a thousand, three degrees of freedom


def test_tokens_that_tie_with_the_last_one_kept_are_all_kept() -> None:
    logits = torch.tensor([3.0, 1.0, 1.0, 1.0, 0.0])
    assert set(draws(logits, 5.0, 2, 500).tolist()) == {0, 1, 2, 3}


def test_each_row_has_its_own_temperature_and_top_k() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(200, 30, generator=generator)
    noise = gumbel_noise(torch.arange(200), torch.arange(200), range(1), 30)[:, 0]
    temperature = torch.tensor([0.0, 0.5, 1.0, 9.0]).repeat(50)
    top_k = torch.tensor([3, 1, 7, 1000, 2]).repeat(40)
    together = sample(logits, noise, temperature, top_k)
    for row in range(200):
        one = slice(row, row + 1)
        assert sample(logits[one], noise[one], temperature[one], top_k[one]) == together[row]
        scores = logits[row] / temperature[row] + noise[row] if temperature[row] else logits[row]
        kept = logits[row] >= logits[row].topk(min(int(top_k[row]), 30)).values[-1]
        assert together[row] == scores.where(kept, torch.tensor(float("-inf"))).argmax()


def test_a_row_that_is_no_number_ends() -> None:
    logits = torch.full((1, 30), float("nan"))
    assert 0 <= sample(logits, torch.zeros(1, 30), torch.ones(1), torch.ones(1)).item() < 30


def test_all_draws_of_a_step_are_those_that_each_channel_would_draw_alone() -> None:
    config, sampling = tiny_lm(), SamplingState(5, torch.device("cpu"))
    for slot in range(5):
        sampling.set(slot, temperatures=(0.7, 0.3 * slot), top_k=(3, 0), seed=99 * slot)
    slots, frames = torch.tensor([3, 0, 4]), torch.tensor([8, 1, 2, 2**31, 0])
    drawn = Draws(slots, frames, sampling, config)
    state = frames, *(sampling.seeds, sampling.temperatures, sampling.top_k)
    generator = torch.Generator().manual_seed(2)
    for channel in range(1 + config.own_codebooks):
        width = config.card if channel else config.text_card_out
        logits = torch.randn(3, width, generator=generator)
        assert torch.equal(drawn(channel, logits), draw(logits, slots, *state, channel))
