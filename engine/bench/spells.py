"""Slow steps come in spells: for about how long a machine stays as slow as it is."""

import numpy as np
from numpy.typing import ArrayLike

_SPELLS = 5


def spell_s(times_s: ArrayLike) -> float:
    """Seconds over which the times [T] of steps, one right after the other, resemble each other.

    The sum of the correlations between a step and those after it, times the mean step: 0 for independent
    steps, c for correlations that decay as exp(-t / c). Roughly so: T steps tell little of spells that are
    not much shorter. Of ranks, so that one outlier counts no more than another.
    """
    times = np.asarray(times_s, np.float64)
    ranks = times.argsort(kind="stable").argsort(kind="stable").astype(np.float64)
    ranks -= ranks.mean()
    power = float(ranks @ ranks)
    # What independent steps exceed once in 40 times.
    noise = 2 / float(np.sqrt(times.size))
    total = 0.0
    for lag in range(1, times.size // 4 + 1):
        correlation = float(ranks[:-lag] @ ranks[lag:]) / power
        # Far behind a spell there is only noise to add.
        if correlation <= noise or lag > _SPELLS * (total + 1):
            break
        total += correlation
    return total * float(times.mean())
