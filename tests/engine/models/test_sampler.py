import torch
from torch import Tensor

from engine.models.noise import gumbel_noise
from engine.models.sampler import sample


def draw(logits: Tensor, temperature: float, top_k: int, draws: int, seed: int = 0) -> Tensor:
    rows = logits.expand(draws, -1)
    noise = gumbel_noise(torch.full((draws,), seed), torch.arange(draws), range(1), logits.shape[-1])[:, 0]
    return sample(rows, noise, torch.full((draws,), temperature), torch.full((draws,), top_k))


def test_temperature_zero_takes_the_largest_logit() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert draw(logits, 0.0, 25, 20).tolist() == [logits.argmax().item()] * 20


def test_draws_follow_the_softmax_of_the_largest_logits() -> None:
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, 1.5])
    tokens = draw(logits, 0.7, 4, 8000)
    kept = torch.tensor([0, 1, 2, 5])
    assert set(tokens.tolist()) == set(kept.tolist())
    counts = torch.bincount(tokens, minlength=6)[kept]
    expected = (logits[kept] / 0.7).softmax(dim=-1) * 8000
    chi_square = ((counts - expected).square() / expected).sum()
    assert chi_square < 16.27  # one in a thousand, three degrees of freedom


def test_tokens_that_tie_with_the_last_one_kept_are_all_kept() -> None:
    logits = torch.tensor([3.0, 1.0, 1.0, 1.0, 0.0])
    assert set(draw(logits, 5.0, 2, 500).tolist()) == {0, 1, 2, 3}


def test_each_row_has_its_own_temperature_and_top_k() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 30, generator=generator)
    noise = gumbel_noise(torch.arange(4), torch.arange(4), range(1), 30)[:, 0]
    temperature, top_k = torch.tensor([0.0, 0.5, 1.0, 9.0]), torch.tensor([3, 1, 30, 1000])
    together = sample(logits, noise, temperature, top_k)
    for row in range(4):
        one = slice(row, row + 1)
        alone = sample(logits[one], noise[one], temperature[one], top_k[one])
        assert alone.item() == together[row].item()
    assert together[0] == logits[0].argmax()
    assert together[1] == logits[1].argmax()
    assert together[3] == (logits[3] / 9 + noise[3]).argmax()
