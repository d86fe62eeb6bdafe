import math

import numpy as np
import pytest

from engine.bench.spells import spell_s
from load_tests.simulation.spells import Spells


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_every_share_is_as_likely_as_any_other(seconds: float) -> None:
    spells = Spells(seconds, np.random.default_rng(0))
    shares = [spells.share(0.02 * number) for number in range(50_000)]
    assert np.histogram(shares, 5, (0.0, 1.0))[0] / 50_000 == pytest.approx([0.2] * 5, abs=0.03)


def test_shares_of_close_moments_resemble_each_other_and_those_of_distant_ones_do_not() -> None:
    spells = Spells(0.5, np.random.default_rng(1))
    shares = [spells.share(0.1 * number) for number in range(20_000)]
    assert np.corrcoef(shares[:-1], shares[1:])[0, 1] == pytest.approx(math.exp(-0.2), abs=0.05)
    assert abs(np.corrcoef(shares[:-50], shares[50:])[0, 1]) < 0.1


def test_the_benchmark_finds_the_spells_that_the_simulation_makes() -> None:
    spells, now, times = Spells(0.3, np.random.default_rng(2)), 0.0, []
    for _ in range(20_000):
        times.append(0.010 + 0.010 * spells.share(now))
        now += times[-1]
    assert spell_s(times) == pytest.approx(0.3, rel=0.3)
