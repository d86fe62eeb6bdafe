"""Tokens on their way through the delays [0 | 0, 1 x 7 | 0, 1 x 7], as numbers that tell their step."""

import torch

from engine.checkpoint.random_weights import tiny_lm
from engine.models.delays import NOT_GIVEN, Delays

SLOT = torch.tensor([1])
INITIAL = 64


def walk(count: int) -> tuple[list[list[int]], list[list[int]]]:
    """What enters and leaves in `count` steps; step n hears 1000 + n and says 2000 + n on every channel."""
    delays = Delays(tiny_lm(), torch.device("cpu"))
    cache = delays.new_state(3)
    cache.reset(SLOT)
    entered, left = [], []
    for n in range(count):
        entered += delays.enter(cache, SLOT, torch.full((1, 8), 1000 + n)).tolist()
        left += delays.leave(cache, SLOT, torch.tensor([2000 + n]), torch.full((1, 8), 2000 + n)).tolist()
    return entered, left


def test_a_channel_enters_with_initial_tokens_until_its_delay_is_over() -> None:
    entered, _ = walk(2)
    assert entered[0] == [INITIAL] * 17
    assert entered[1] == [2000, 2000, *[INITIAL] * 7, 1001, *[INITIAL] * 7]


def test_acoustic_tokens_enter_one_step_after_semantic_ones() -> None:
    entered, _ = walk(9)
    for n in range(2, 9):
        heard = [1000 + n, *[1000 + n - 1] * 7]
        assert entered[n] == [2000 + n - 1] * 9 + heard


def test_what_is_given_enters_and_leaves_as_if_it_had_been_said() -> None:
    """Steps 4 and 5 are given 3000 and more, but for the text of the latter."""
    delays = Delays(tiny_lm(), torch.device("cpu"))
    cache = delays.new_state(3)
    cache.reset(SLOT)
    entered, left = [], []
    for n in range(8):
        given = torch.full((1, 9), 3000 + n if n in (4, 5) else NOT_GIVEN)
        if n == 5:
            given[:, 0] = NOT_GIVEN
        heard, said = torch.full((1, 8), 1000 + n), torch.full((1, 9), 2000 + n)
        entered += delays.enter(cache, SLOT, heard, given).tolist()
        left += delays.leave(cache, SLOT, said[:, 0], said[:, 1:], given).tolist()
    assert [row[:9] for row in entered[3:7]] == [
        [2002] * 9,
        [3004, 3004, *[2003] * 7],
        [2004, 3005, *[3004] * 7],
        [2005, 2005, *[3005] * 7],
    ]
    assert left[3:7] == [[2002] * 2 + [2003] * 7, [3004] * 9, [2004, *[3005] * 8], [2005] * 2 + [2006] * 7]


def test_what_leaves_together_belongs_to_one_time() -> None:
    _, left = walk(9)
    for n in range(1, 9):
        assert left[n] == [2000 + n - 1] * 2 + [2000 + n] * 7
