"""What goes wrong when, and for whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load_tests.faults.kinds import Hits, Kind


@dataclass(frozen=True, slots=True)
class Slot:
    """A fault, `at_s` after the beginning. victim: the caller whom it hits, None for one that hits all or
    nobody.
    """

    at_s: float
    kind: Kind
    victim: int | None


def shuffled(kinds: Sequence[Kind], callers: int, seconds: float, every_s: float, seed: int) -> list[Slot]:
    """As many as fit: every kind once in any order, and again in another. Victims by chance."""
    random = np.random.default_rng(seed)
    count = int(seconds / every_s)
    order: list[Kind] = []
    while len(order) < count:
        order += [kinds[each] for each in random.permutation(len(kinds))]
    return _slots(order[:count], callers, every_s, random)


def in_order(kinds: Sequence[Kind], callers: int, times: int, every_s: float, seed: int) -> list[Slot]:
    """Every kind so many times, one kind after the other."""
    random = np.random.default_rng(seed)
    return _slots([kind for kind in kinds for _ in range(times)], callers, every_s, random)


def _slots(order: Sequence[Kind], callers: int, every_s: float, random: np.random.Generator) -> list[Slot]:
    return [
        Slot(number * every_s, kind, int(random.integers(callers)) if kind.hits is Hits.ONE else None)
        for number, kind in enumerate(order)
    ]
