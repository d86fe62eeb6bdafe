"""How a number is spread over frames, utterances or callers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Of `count` values, in their own unit."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of all that are known; None where none is."""
    known = np.asarray([value for value in values if value is not None], np.float64)
    if not known.size:
        return None
    p50, p95, p99, worst = (float(value) for value in np.percentile(known, (50, 95, 99, 100)))
    return Spread(known.size, p50, p95, p99, worst)
