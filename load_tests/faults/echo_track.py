"""When what somebody heard was what they had said: stretch by stretch, whatever the delay has become."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load_tests.callers.hearing import HOP_S, Features, features, find
from load_tests.callers.holes import SILENT_HEARD_DB, level_db, runs

CAME_BACK = 0.5
"""How like a stretch of WINDOW_S has to be."""
WINDOW_S = 0.5
_STEP_S = 0.05
_SURE = 0.7
_SURE_S, _SURE_EVERY_S = 1.5, 0.5
_SOONER_S = 0.1
_NEAR_S = 0.03
"""How far a stretch may be from a delay that is known."""
_HOLE_S = 0.25
"""Longer than any pause in what is said."""
_TINY = 1e-9

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EchoTrack:
    """Rows are HOP_S apart, from the first moment of what was heard on.

    heard bool [T]: an echo could be heard then; alike [T]: how like it was there to what was said, 0 where
    it was not; own [T, bands]: what the caller had said, where its echo is.
    """

    heard: NDArray[np.bool_]
    alike: Rows
    own: Features

    def gaps(self, first: int, last: int) -> list[tuple[int, int]]:
        """Stretches without an echo between two rows: begin and end of each."""
        return [(first + begin, first + end) for begin, end in runs(~self.heard[first:last])]


def track(said: NDArray[np.int16], heard: NDArray[np.int16], delay_s: float, latest_s: float) -> EchoTrack:
    """Where what was said came back. Both int16 [N] at 24 kHz, and begin at the same moment.

    delay_s: the soonest that anything comes back; latest_s: after how long, beyond that, nothing does.
    """
    of_said, of_heard = features(said), features(heard)
    rows = len(of_heard)
    alike, own = np.zeros(rows), np.zeros_like(of_heard)
    for lag in _lags(of_said, of_heard, delay_s, latest_s):
        moved = _moved(of_said, lag, rows)
        here = _alike(moved, of_heard)
        better = here > alike
        alike = np.where(better, here, alike)
        own[better] = moved[better]
    found = alike >= CAME_BACK
    # A window may reach into a hole and be alike all the same.
    for begin, end in runs(level_db(heard) < SILENT_HEARD_DB):
        if (end - begin) * HOP_S >= _HOLE_S:
            found[begin:end] = False
    return EchoTrack(found, np.where(found, alike, 0.0), own * found[:, None])


def _lags(said: Features, heard: Features, delay_s: float, latest_s: float) -> list[int]:
    """Delays in rows at which a long stretch came back beyond doubt, and those near them."""
    length, every = round(_SURE_S / HOP_S), round(_SURE_EVERY_S / HOP_S)
    soonest, latest = round((delay_s - _SOONER_S) / HOP_S), round((delay_s + latest_s) / HOP_S)
    sure: set[int] = set()
    for begin in range(0, len(heard) - length + 1, every):
        first = max(0, begin - latest)
        found = find(heard[begin : begin + length], said[first : max(0, begin - soonest) + length])
        if found.similarity >= _SURE:
            sure.add(begin - first - round(found.at_s / HOP_S))
    near, step = round(_NEAR_S / HOP_S), 2
    return sorted({lag + off for lag in sure for off in range(-near, near + 1, step)})


def _moved(said: Features, lag: int, rows: int) -> Features:
    """What was said `lag` rows earlier."""
    moved = np.zeros((rows, said.shape[1]))
    part = said[max(0, -lag) : rows - lag]
    moved[max(0, lag) : max(0, lag) + len(part)] = part
    return moved


def _alike(said: Features, heard: Features) -> Rows:
    """Of every row: the correlation of the stretches around it, which are the middle halves of windows."""
    length, step = round(WINDOW_S / HOP_S), round(_STEP_S / HOP_S)
    begins = np.arange(0, len(heard) - length + 1, step)
    product, of_said, of_heard = (
        _together(a, b, begins, length) for a, b in ((said, heard), (said, said), (heard, heard))
    )
    correlation = product / np.sqrt(np.maximum(of_said * of_heard, _TINY))
    alike = np.zeros(len(heard))
    for begin, value in zip(begins, correlation, strict=True):
        middle = alike[begin + length // 4 : begin + length - length // 4]
        np.maximum(middle, value, out=middle)
    return alike


def _together(a: Features, b: Features, begins: NDArray[np.int64], length: int) -> Rows:
    """How much both vary together within each window, in all bands."""
    of_a, of_b, of_both = (np.cumsum(np.pad(each, ((1, 0), (0, 0))), axis=0) for each in (a, b, a * b))
    mean_a, mean_b, both = (each[begins + length] - each[begins] for each in (of_a, of_b, of_both))
    return np.asarray((both - mean_a * mean_b / length).sum(axis=1))
