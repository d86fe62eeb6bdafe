"""The language model against the reference, fp32, on random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.lm import LM
from engine.state.ring_cache import TransformerState
from tests.parity.reference import assert_close, our_lm, reference_lm

Pair = tuple[Any, LM]


def ready(lm: LM, slots: int) -> TransformerState:
    state = lm.new_state(slots)
    state.reset(torch.arange(slots))
    return state


def random_tokens(batch: int, steps: int, seed: int = 0) -> torch.Tensor:
    """int64 [B, 17, T] as they are fed; some are -1, which is no input."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(-1, 51, (batch, 1, steps), generator=generator)
    return torch.cat([text, torch.randint(-1, 33, (batch, 16, steps), generator=generator)], dim=1)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    reference = reference_lm()
    return reference, our_lm(reference.state_dict(), tmp_path)


@torch.no_grad()
def test_hidden_and_text_logits_agree_over_two_contexts(pair: Pair) -> None:
    reference, lm = pair
    state, slots = ready(lm, 3), torch.arange(3)
    tokens = random_tokens(3, 45)
    with reference.streaming(3):
        for t in range(45):
            expected_hidden, expected_logits = reference.forward_text(tokens[:, :, t : t + 1])
            hidden, logits = lm(tokens[:, :, t : t + 1], state, slots)
            assert_close(hidden, expected_hidden)
            assert_close(logits, expected_logits[:, 0])


@torch.no_grad()
def test_in_bfloat16_the_logits_stay_close(tmp_path: Path) -> None:
    reference = reference_lm(seed=3).to(torch.bfloat16)
    lm = our_lm(reference.state_dict(), tmp_path, dtype=torch.bfloat16)
    state, slots = ready(lm, 2), torch.arange(2)
    assert state.rings[0].keys.dtype == torch.bfloat16
    tokens = random_tokens(2, 45, seed=1)
    with reference.streaming(2):
        for t in range(45):
            expected = reference.forward_text(tokens[:, :, t : t + 1])[1][:, 0].float()
            logits = lm(tokens[:, :, t : t + 1], state, slots).text_logits.float()
            assert torch.cosine_similarity(logits, expected, dim=-1).min() > 0.998


@torch.no_grad()
def test_the_depformer_agrees_step_by_step(pair: Pair) -> None:
    reference, lm = pair
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(4, 64, generator=generator)
    text = torch.randint(0, 50, (4,), generator=generator)
    codes = torch.randint(0, 32, (4, 8), generator=generator)
    logits: list[torch.Tensor] = []

    def pick(codebook: int, offered: torch.Tensor) -> torch.Tensor:
        logits.append(offered)
        return codes[:, codebook]

    assert lm.depformer is not None
    assert lm.depformer(hidden, text, pick).tolist() == codes.tolist()
    with reference.depformer.streaming(4):
        for step in range(8):
            before = text if step == 0 else codes[:, step - 1]
            expected = reference.forward_depformer(step, before[:, None, None], hidden[:, None])
            assert_close(logits[step], expected[:, 0, 0])


@pytest.mark.parametrize("pieces", [[20], [1, 19], [7, 1, 12], [3, 3, 3, 3, 3, 3, 2]])
@torch.no_grad()
def test_many_positions_at_once_equal_one_after_the_other(pair: Pair, pieces: list[int]) -> None:
    """Until the ring wraps; afterwards both go on with single steps, in agreement with the reference."""
    reference, lm = pair
    tokens = random_tokens(2, 30, seed=5)
    state, slots = ready(lm, 4), torch.tensor([3, 1])
    with reference.streaming(2):
        begin = 0
        for length in [*pieces, *[1] * 10]:
            part = tokens[:, :, begin : begin + length]
            expected = [reference.forward_text(part[:, :, t : t + 1])[0] for t in range(length)]
            assert_close(lm(part, state, slots).hidden, torch.cat(expected, dim=1))
            begin += length
