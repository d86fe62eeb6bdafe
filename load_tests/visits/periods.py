"""Whether those who came late fared as those who came early."""

from collections.abc import Iterable, Sequence

from load_tests.measured import CallMeasured, Period, RunMeasured
from load_tests.report.spread import spread
from load_tests.visits.plan import Visit

Bounds = tuple[str, float, float]


def thirds(seconds: float) -> list[Bounds]:
    """Of a run."""
    third_s = seconds / 3
    names = ("first third", "second third", "last third")
    return [(name, number * third_s, (number + 1) * third_s) for number, name in enumerate(names)]


def around_refusal(visits: Sequence[Visit], calls: Sequence[CallMeasured], seconds: float) -> list[Bounds]:
    """Before the first caller came who was refused, and from then on. One period if nobody was."""
    turned_away = [
        visit.joins_at_s for visit, call in zip(visits, calls, strict=True) if call.refused is not None
    ]
    if not turned_away:
        return [("all the time", 0.0, seconds)]
    first_s = min(turned_away)
    return [("before the first refusal", 0.0, first_s), ("from then on", first_s, seconds)]


def split(run: RunMeasured, visits: Sequence[Visit], bounds: Iterable[Bounds]) -> tuple[Period, ...]:
    """A run, by its parts."""
    return tuple(period(each, visits, run.calls, run.model_delay_ms) for each in bounds)


def period(
    bounds: Bounds, visits: Sequence[Visit], calls: Sequence[CallMeasured], model_delay_ms: float
) -> Period:
    """Callers by when they came, words by when they were said; those of the refused count nowhere."""
    name, begins_s, ends_s = bounds
    came = [call for visit, call in zip(visits, calls, strict=True) if begins_s <= visit.joins_at_s < ends_s]
    there = [call for call in calls if call.refused is None]
    joins = spread(call.join_s for call in came)
    lags = spread(
        lag_ms - model_delay_ms
        for call in there
        for at_s, lag_ms in zip(call.heard_said_at_s, call.lags_ms, strict=True)
        if begins_s <= at_s < ends_s
    )
    return Period(
        name,
        begins_s,
        ends_s,
        callers=len(came),
        refused=sum(call.refused is not None for call in came),
        lost=sum(call.lost is not None for call in came),
        said=sum(begins_s <= at_s < ends_s for call in there for at_s in call.said_at_s),
        heard=lags.count if lags else 0,
        join_p50_s=joins.p50 if joins else None,
        lag_p50_ms=lags.p50 if lags else None,
        lag_p95_ms=lags.p95 if lags else None,
        lag_p99_ms=lags.p99 if lags else None,
    )
