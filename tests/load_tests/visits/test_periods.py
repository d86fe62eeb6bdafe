from dataclasses import replace
from pathlib import Path

import pytest

from load_tests.measured import CallMeasured, Period, RunMeasured
from load_tests.report.report import Report
from load_tests.report.table import text
from load_tests.visits.churn import grown, slower
from load_tests.visits.periods import around_refusal, period, thirds
from load_tests.visits.plan import Visit
from load_tests.visits.plot import plot
from load_tests.visits.ramp import noticed
from tests.load_tests.report.made import MACHINE, call, process, run

VISITS = (Visit(0.0, 30.0), Visit(4.0, 26.0), Visit(8.0, 22.0))
REFUSED = call(2, refused="full", refused_after_s=0.5, said=2, heard=0, said_at_s=(9.0, 12.0), join_s=None)


def guest(number: int, *heard: tuple[float, float], lost: int = 0) -> CallMeasured:
    """One who was let in; of each sentence that came back, when it was said and how late it was."""
    said_at_s = tuple(at_s for at_s, _ in heard)
    made = call(number, *(lag_ms for _, lag_ms in heard), heard_said_at_s=said_at_s)
    return replace(made, said_at_s=said_at_s + (29.0,) * lost, said=len(heard) + lost, there_s=(0.0, 30.0))


def ramp_run(late_ms: float, lost: int = 0) -> RunMeasured:
    calls = (guest(0, (1, 1200), (10, 1000 + late_ms)), guest(1, (6, 1210), (15, 1205), lost=lost), REFUSED)
    parts = tuple(period(each, VISITS, calls, 1000.0) for each in around_refusal(VISITS, calls, 30.0))
    return run("the service", 1000.0, *calls, periods=parts)


def test_words_count_when_they_were_said_and_callers_when_they_came() -> None:
    before, after = ramp_run(late_ms=200).periods
    assert (before.begins_s, before.ends_s, after.ends_s) == (0.0, 8.0, 30.0)
    assert (before.callers, before.refused, after.callers, after.refused) == (2, 0, 1, 1)
    assert (before.said, before.heard, after.said, after.heard) == (2, 2, 2, 2)
    assert before.lag_p50_ms == pytest.approx(205)
    assert after.join_p50_s is None


def test_where_nobody_was_refused_there_is_nothing_to_notice() -> None:
    calls = (guest(0, (1, 1200)), guest(1, (6, 1200)), guest(2, (9, 1200)))
    (bounds,) = around_refusal(VISITS, calls, 30.0)
    whole = run("the service", 1000.0, *calls, periods=(period(bounds, VISITS, calls, 1000.0),))
    assert [goal.met for goal in noticed(whole)] == [None, None]


@pytest.mark.parametrize(
    ("late_ms", "lost", "met"), [(205, 0, [True, True]), (290, 0, [False, True]), (205, 1, [True, False])]
)
def test_others_notice_a_refusal_by_what_they_hear_later_or_not_at_all(
    late_ms: float, lost: int, met: list[bool]
) -> None:
    assert [goal.met for goal in noticed(ramp_run(late_ms, lost))] == met


@pytest.mark.parametrize(("late_ms", "met"), [(210.0, True), (260.0, False)])
def test_latency_is_flat_if_the_last_third_is_as_the_first(late_ms: float, met: bool) -> None:
    calls = (guest(0, (1, 200), (28, late_ms)),)
    parts = [period(bounds, VISITS[:1], calls, 0.0) for bounds in thirds(30.0)]
    assert slower(run("the service", 0.0, *calls, periods=tuple(parts))).met is met


def test_memory_is_flat_if_it_does_not_grow_in_the_second_half() -> None:
    steady = replace(process("engine", 10), rss_mb_first=50, rss_mb_middle=100, rss_mb_last=102)
    leaking = replace(process("worker", 10), rss_mb_first=50, rss_mb_middle=100, rss_mb_last=120)
    jobs = replace(process("worker's jobs", 10), rss_mb_middle=100, rss_mb_last=900)
    goals = list(grown(run("the service", 0.0, processes=(steady, leaking, jobs))))
    assert [(goal.name.split()[3], goal.met) for goal in goals] == [("engine,", True), ("worker,", False)]


def test_periods_are_shown_and_drawn(tmp_path: Path) -> None:
    found = ramp_run(late_ms=200)
    report = Report(MACHINE, found, more_goals=noticed(found))
    shown = text(report)
    assert "before the first refusal" in shown
    assert "met: sentences lost after the first refusal above before 0.0 %" in shown
    # There is no echo beside callers who come and go.
    assert "added to the bare echo" not in shown
    plot(report, tmp_path / "visits.png")
    assert (tmp_path / "visits.png").stat().st_size > 0
    assert isinstance(found.periods[0], Period)
