"""Quantiles of the last minute and of the whole call, at a cost that does not grow with the call."""

import math
from collections.abc import Callable
from time import monotonic

import numpy as np

WINDOW_S = 60.0
QUANTILES = (0.5, 0.95, 0.99)

_PARTS = 12
_LEAST_S = 20e-6
_MOST_S = 100.0
_LOG_STEP = math.log(1.02)
_BINS = math.ceil(math.log(_MOST_S / _LEAST_S) / _LOG_STEP) + 1


class LatencyWindow:
    """Counts in bins 2 % wide, from 20 µs to 100 s, so a quantile is right within 1 %.

    The last minute is kept in twelve parts of 5 s; the oldest part is dropped as a new one begins.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._parts = np.zeros((_PARTS, _BINS), np.int32)
        self._call = np.zeros(_BINS, np.int64)
        self._part = self._now()

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self._advance()
        place = round(math.log(min(max(seconds, _LEAST_S), _MOST_S) / _LEAST_S) / _LOG_STEP)
        self._parts[self._part % _PARTS, place] += 1
        self._call[place] += 1

    def last_minute(self) -> tuple[float, ...] | None:
        """`QUANTILES` of the last minute in seconds; None where nothing was observed."""
        self._advance()
        return _quantiles(self._parts.sum(axis=0))

    def whole_call(self) -> tuple[float, ...] | None:
        """`QUANTILES` of all that was observed, in seconds; None where nothing was."""
        return _quantiles(self._call)

    def _now(self) -> int:
        return int(self._clock() / (WINDOW_S / _PARTS))

    def _advance(self) -> None:
        now = self._now()
        if now == self._part:
            return
        for part in range(max(self._part + 1, now - _PARTS + 1), now + 1):
            self._parts[part % _PARTS] = 0
        self._part = now


def _quantiles(counts: np.typing.NDArray[np.integer]) -> tuple[float, ...] | None:
    total = int(counts.sum())
    if total == 0:
        return None
    ranks = [max(1, math.ceil(q * total)) for q in QUANTILES]
    places = np.searchsorted(np.cumsum(counts), ranks)
    return tuple(_LEAST_S * math.exp(place * _LOG_STEP) for place in places)
