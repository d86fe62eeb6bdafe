"""Who comes when, and for how long they speak."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load_tests.callers.one_call import LISTENS_ON_S

JOINING_S = 1.5
"""What joining takes, about: a visit is longer than its caller speaks by this and by LISTENS_ON_S."""
SHORTEST_S = 5.0
_LONGEST = 4.0


@dataclass(frozen=True, slots=True)
class Visit:
    """A caller who comes `joins_at_s` after the beginning and speaks for `seconds` once there."""

    joins_at_s: float
    seconds: float

    @property
    def leaves_at_s(self) -> float:
        """About when, if nothing is late."""
        return self.joins_at_s + JOINING_S + self.seconds + LISTENS_ON_S


def churn(a_minute: float, talk_s: float, seconds: float, seed: int) -> list[Visit]:
    """So many callers a minute, each when they like (Poisson), who speak for `talk_s` in the mean.

    Nobody comes who could not speak for SHORTEST_S before `seconds` are over, and then everybody leaves.
    """
    random = np.random.default_rng(seed)
    visits = []
    at_s = 0.0
    while (at_s := at_s + float(random.exponential(60 / a_minute))) < seconds:
        longest_s = min(_LONGEST * talk_s, seconds - at_s - JOINING_S - LISTENS_ON_S)
        if longest_s >= SHORTEST_S:
            visits.append(Visit(at_s, min(longest_s, max(SHORTEST_S, float(random.exponential(talk_s))))))
    return visits


def ramp(callers: int, every_s: float, stay_s: float) -> list[Visit]:
    """One after the other; all speak until `stay_s` after the last one came."""
    end_s = callers * every_s + stay_s
    return [Visit(number * every_s, end_s - number * every_s) for number in range(callers)]


def at_once(visits: Sequence[Visit]) -> int:
    """The most that are there at the same time."""
    changes = [(visit.joins_at_s, 1) for visit in visits] + [(visit.leaves_at_s, -1) for visit in visits]
    there = most = 0
    for _, change in sorted(changes):
        there += change
        most = max(most, there)
    return most
