"""A run in a few numbers, its worst caller, and what the goals say to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Self

from load_tests.measured import SOCKETS, CallMeasured, RunMeasured
from load_tests.report.roles import Role
from load_tests.report.spread import Spread, spread

GAPS_MS = (40, 80, 200)
ADDED_P95_MS = 20.0
WORKER_PERCENT = 5.0
REFUSED_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Of all callers. `lag_ms` is mouth to ear beyond the model's own delay; `estimate_ms`, where it was not
    heard but added up, the mean over callers of p50, p95 and p99, and so is `answer_ms`, of frames. `lost`:
    calls that ended before their time.

    `gaps`: how many holes lasted for at least 40, 80 and 200 ms. `worst`: the number of the caller who fared
    worst. `worker_percent`: of a core, for the worker and its jobs, a session.
    """

    callers: int
    refused: int
    lost: int
    said: int
    heard: int
    leaked: int
    frames: int
    missed: int
    join_s: Spread | None
    first_audio_s: Spread | None
    lag_ms: Spread | None
    estimate_ms: tuple[float, ...] | None
    answer_ms: tuple[float, ...] | None
    similarity_mean: float | None
    similarity_least: float | None
    gaps: tuple[int, ...]
    send_late_p99_ms: float | None
    worst: int | None
    worker_percent: float | None

    @classmethod
    def of(cls, run: RunMeasured) -> Self:
        """Refused callers count among `callers`, and what they wanted to say is lost."""
        calls = [call for call in run.calls if call.refused is None]
        alike = [value for call in calls for value in call.similarity]
        estimates = [call.lag_estimate_ms for call in calls if call.lag_estimate_ms is not None]
        late = [call.send_late_ms[2] for call in calls if call.send_late_ms is not None]
        return cls(
            callers=len(run.calls),
            refused=len(run.calls) - len(calls),
            lost=sum(call.lost is not None for call in calls),
            said=sum(call.said for call in run.calls),
            heard=sum(call.heard for call in calls),
            leaked=sum(call.leaked for call in calls),
            frames=sum(call.frames for call in calls),
            missed=sum(call.missed for call in calls),
            join_s=spread(call.join_s for call in calls),
            first_audio_s=spread(call.first_audio_s for call in calls),
            lag_ms=spread(lag for call in calls for lag in lags_of(run, call)),
            estimate_ms=_means(estimates),
            answer_ms=_means([call.answer_ms for call in calls if call.answer_ms is not None]),
            similarity_mean=mean(alike) if alike else None,
            similarity_least=min(alike, default=None),
            gaps=tuple(sum(gap >= least for call in calls for gap in call.gaps_ms) for least in GAPS_MS),
            send_late_p99_ms=max(late, default=None),
            worst=max(calls, key=lambda call: _misery(run, call)).number if calls else None,
            worker_percent=_worker_percent(run, len(calls)),
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """`measured` should be at most `most`; None: nobody measured it."""

    name: str
    most: float
    measured: float | None
    unit: str

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        return None if self.measured is None else self.measured <= self.most


def goals(run: RunMeasured, baseline: RunMeasured | None) -> tuple[Goal, ...]:
    """What the service is held to, beside a bare echo in the same conditions."""
    summary = Summary.of(run)
    found = []
    if not run.periods and any(call.kind not in SOCKETS for call in run.calls):
        found = [
            Goal("added to the bare echo, p95", ADDED_P95_MS, added(run, baseline)[1], "ms"),
            Goal("worker, of a core a session", WORKER_PERCENT, summary.worker_percent, "%"),
        ]
    found.append(Goal("leaks between callers", 0, summary.leaked if summary.heard else None, ""))
    knew = [call.refused_after_s for call in run.calls if call.refused is not None]
    if knew:
        found.append(
            Goal(
                "refused callers know within",
                REFUSED_WITHIN_S,
                None if None in knew else max(after for after in knew if after is not None),
                "s",
            )
        )
    return tuple(found)


def added(run: RunMeasured, baseline: RunMeasured | None) -> tuple[float | None, float | None]:
    """What the service adds to the echo's mouth to ear, p50 and p95 in ms, beyond the model's own delay."""
    ours, floor = Summary.of(run).lag_ms, Summary.of(baseline).lag_ms if baseline else None
    return (ours.p50 - floor.p50, ours.p95 - floor.p95) if ours and floor else (None, None)


def conditions(run: RunMeasured) -> str:
    """Who called, for how long, over what."""
    callers = "1 caller" if len(run.calls) == 1 else f"{len(run.calls)} callers"
    return f"{callers}, {run.seconds:.0f} s, network: {run.network}"


def lags_of(run: RunMeasured, call: CallMeasured) -> tuple[float, ...]:
    """Mouth to ear of one caller in ms, beyond the model's own delay."""
    return tuple(lag - run.model_delay_ms for lag in call.lags_ms)


def _misery(run: RunMeasured, call: CallMeasured) -> tuple[float, ...]:
    """The larger, the worse: strangers heard, a call that broke off, words lost, lag, time in holes."""
    compared = any(other.heard for other in run.calls)
    lost = 1 - call.heard / call.said if compared and call.said else 0.0
    own = spread(lags_of(run, call))
    p95_ms = own.p95 if own else call.lag_estimate_ms[1] if call.lag_estimate_ms else 0.0
    return (call.leaked, call.lost is not None, round(lost, 2), p95_ms, sum(call.gaps_ms))


def _means(quantiles: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    return tuple(map(mean, zip(*quantiles, strict=True))) if quantiles else None


def _worker_percent(run: RunMeasured, sessions: int) -> float | None:
    used = [process.cpu_percent_mean for process in run.processes if process.name in (Role.WORKER, Role.JOBS)]
    return sum(used) / sessions if used and sessions else None
