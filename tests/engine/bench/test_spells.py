import math

import numpy as np
import pytest

from engine.bench.spells import spell_s


def spells(kept: float) -> list[float]:
    """Steps of about 10 ms, each of which takes over so much of the one before."""
    random, state, times = np.random.default_rng(2), 0.0, []
    for _ in range(20_000):
        state = kept * state + math.sqrt(1 - kept * kept) * random.normal()
        times.append(0.010 * math.exp(0.1 * state))
    return times


def test_independent_steps_make_no_spells() -> None:
    assert spell_s(spells(0.0)) < 0.002


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_spell_is_as_long_as_steps_resemble_each_other(seconds: float) -> None:
    assert spell_s(spells(math.exp(-0.010 / seconds))) == pytest.approx(seconds, rel=0.3)


@pytest.mark.parametrize("times", [[0.01], [0.01] * 5, [0.01, 0.02]])
def test_few_steps_and_equal_ones_have_an_answer(times: list[float]) -> None:
    assert spell_s(times) >= 0.0
