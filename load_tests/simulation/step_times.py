"""How long a step takes, by how many sessions are in it."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import SettingError
from engine.step import measure
from load_tests.simulation.bench_file import BenchFile, BenchLevel, Times

_SHARES = (0.0, 0.5, 0.95, 0.99, 1.0)
_P99 = _SHARES.index(0.99)
_ANY_NUMBER = 1024


class StepTimes:
    """Quantiles of a step's time: as measured, for numbers of sessions in between from both neighbours.

    Beyond `measured_up_to` sessions the line through the two largest numbers goes on.
    """

    def __init__(self, times_s: Mapping[int, Sequence[float]], in_service_s: float = 0.0) -> None:
        """times_s: the 0, 50, 95, 99 and 100 % quantiles in seconds, for one session and more numbers, of
        steps one right after the other; in service each takes `in_service_s` longer.
        """
        self.in_service_s = in_service_s
        self._counts = np.array(sorted(times_s), np.float64)
        self._times_s = np.array([times_s[count] for count in sorted(times_s)])
        self._known: dict[int, NDArray[np.float64]] = {}
        self.measured_up_to = int(self._counts[-1])

    @classmethod
    def of(cls, bench: BenchFile) -> Self:
        """As measured. Raises SettingError if that is too little to tell a step of any number from."""
        counts = [level.sessions for level in bench.levels]
        if counts[0] != 1 or len(counts) < 2:
            raise SettingError(
                f"--results {bench.name}: steps are measured with {', '.join(map(str, counts))} sessions; "
                "one session and at least one larger number are needed: "
                "python -m engine bench --sessions 1,8,32 --json FILE"
            )
        times_s = {level.sessions: _quantiles_s(level.step) for level in bench.levels}
        return cls(times_s, _in_service_s(bench.levels[0]))

    @classmethod
    def line(cls, base_ms: float, each_ms: float) -> Self:
        """Always `base_ms` and `each_ms` for each session."""
        return cls({count: [(base_ms + each_ms * count) / 1000] * len(_SHARES) for count in (1, _ANY_NUMBER)})

    def quantile_s(self, sessions: int, share: float) -> float:
        """The time in seconds that so large a share of the steps in service, 0 to 1, does not exceed."""
        return float(np.interp(share, _SHARES, self._of(sessions))) + self.in_service_s

    def as_admitted(self, sessions: int) -> measure.StepTimes:
        """What the engine measures at start to decide whether it offers so many seats."""
        return measure.StepTimes({count: float(self._of(count)[_P99]) for count in (1, sessions)})

    def _of(self, sessions: int) -> NDArray[np.float64]:
        if sessions not in self._known:
            after = int(np.searchsorted(self._counts, sessions).clip(1, len(self._counts) - 1))
            low, high = self._counts[after - 1 : after + 1]
            part = (sessions - low) / (high - low)
            times_s = (1 - part) * self._times_s[after - 1] + part * self._times_s[after]
            # Beyond what was measured the lines of two quantiles may cross.
            self._known[sessions] = np.maximum.accumulate(np.maximum(times_s, 0.0))
        return self._known[sessions]


def _in_service_s(alone: BenchLevel) -> float:
    """What a step takes longer in service, where its thread sleeps before it, than right after another one.

    Both are measured with a step of one session, and with no other at the same number.
    """
    if alone.open_loop is None:
        return 0.0
    return max(0.0, alone.open_loop.step.mean - alone.step.mean) / 1000


def _quantiles_s(step: Times) -> list[float]:
    """With the least, which the file does not have, such that straight lines between them keep the mean."""
    rest = 0.45 * (step.p50 + step.p95) + 0.04 * (step.p95 + step.p99) + 0.01 * (step.p99 + step.max)
    least = (2 * step.mean - rest) / 0.5 - step.p50
    return [ms / 1000 for ms in (min(max(least, 0.0), step.p50), step.p50, step.p95, step.p99, step.max)]
