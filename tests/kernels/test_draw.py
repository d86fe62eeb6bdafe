import pytest
import torch
from torch import Tensor

from engine.models.noise import gumbel_noise
from engine.models.sampler import draw

SLOTS = 6


class Sessions:
    """What six sessions want, each something else, and where they are."""

    def __init__(self, device: torch.device) -> None:
        self.frames = torch.tensor([0, 5, 3000, 2**31 - 1, 17, 9], device=device)
        self.seeds = torch.tensor([0, 1, 2**32 - 1, 77, 123456789, 5], device=device)
        self.temperatures = torch.tensor([[0.7, 0.8], [0, 0], [1, 5], [0.1, 9], [2, 0], [0, 0.3]]).to(device)
        self.top_k = torch.tensor([[25, 250], [3, 3], [1, 40], [2**31 - 1] * 2, [7, 9], [2, 100]]).to(device)

    def draw(self, logits: Tensor, slots: list[int], channel: int, *, kernel: bool = True) -> list[int]:
        which = draw.kernel if kernel else draw.plain
        rows = torch.tensor(slots, device=logits.device)
        state = (self.frames, self.seeds, self.temperatures, self.top_k)
        drawn: list[int] = which(logits, rows, *state, channel).tolist()
        return drawn


@pytest.fixture
def sessions(device: torch.device) -> Sessions:
    return Sessions(device)


def random_logits(rows: int, vocabulary: int, device: torch.device, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)).to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("vocabulary", "channel"), [(32_000, 0), (2048, 1), (2048, 8), (65, 0), (5, 3)])
def test_tokens_are_the_plain_ones(
    sessions: Sessions, vocabulary: int, channel: int, dtype: torch.dtype, device: torch.device
) -> None:
    slots = [3, 0, 5, 1, 4, 2]
    for seed in range(2):
        logits = random_logits(SLOTS, vocabulary, device, seed).to(dtype)
        expected = sessions.draw(logits, slots, channel, kernel=False)
        assert sessions.draw(logits, slots, channel) == expected


def test_a_draw_is_a_function_of_seed_frame_channel_and_token_whatever_the_row_and_batch(
    sessions: Sessions, device: torch.device
) -> None:
    """Among equal logits the token with the largest noise is drawn."""
    for channel in (0, 1, 7):
        noise = gumbel_noise(sessions.seeds, sessions.frames, range(channel, channel + 1), 300)
        expected = noise[[2, 3], 0].argmax(dim=-1).tolist()
        sessions.top_k[[2, 3]] = 300
        sessions.temperatures[[2, 3]] = 1.0
        for slots in ([2], [3, 2], [0, -1, 3, 5, 2, 4]):
            drawn = sessions.draw(torch.zeros(len(slots), 300, device=device), slots, channel)
            assert drawn[slots.index(2)] == expected[0]
            assert 3 not in slots or drawn[slots.index(3)] == expected[1]


def test_tokens_that_tie_with_the_last_one_kept_are_all_kept(
    sessions: Sessions, device: torch.device
) -> None:
    """Both zeros tie."""
    logits = torch.tensor([[3.0, -0.0, 0.0, -0.0, -1.0]], device=device)
    sessions.top_k[0], sessions.temperatures[0] = 2, 9.0
    drawn = set()
    for frame in range(25):
        sessions.frames[0] = frame
        drawn.update(sessions.draw(logits, [0], 1))
    assert drawn == {0, 1, 2, 3}


def test_temperature_zero_takes_the_first_of_the_largest(sessions: Sessions, device: torch.device) -> None:
    logits = random_logits(1, 5000, device)
    logits[0, [4100, 2049, 3000]] = logits.max() + 1
    assert sessions.draw(logits, [1], 0) == [2049]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_temperature_that_lets_every_score_overflow_still_draws_among_the_largest(
    sessions: Sessions, device: torch.device
) -> None:
    logits = torch.tensor([[-5.0, -3.0, -1.0, -2.0]], device=device)
    sessions.top_k[0], sessions.temperatures[0] = 2, 1e-39
    for kernel in (True, False):
        assert sessions.draw(logits, [0], 1, kernel=kernel)[0] in (2, 3)
        assert sessions.draw(-logits, [0], 1, kernel=kernel)[0] in (0, 1)


def test_padding_and_rows_that_are_no_numbers_give_a_token(sessions: Sessions, device: torch.device) -> None:
    logits = random_logits(4, 2048, device)
    expected = sessions.draw(logits, [0, 1, 2, 3], 1)
    logits[[0, 2]] = float("nan")
    drawn = sessions.draw(logits, [0, 1, -1, 3], 1)
    assert drawn[2] == 0
    assert drawn[1::2] == expected[1::2]
    assert 0 <= drawn[0] < 2048
    logits[0] = float("-inf")
    assert sessions.draw(logits, [0, 1, -1, 3], 1)[0] == 0
