"""What is said of faults, from faults that are made up."""

from dataclasses import replace

from load_tests.faults.measured import CallerDuring, FaultMeasured, Kept, SoakMeasured
from load_tests.faults.summary import goals, of_kinds
from load_tests.faults.table import text
from load_tests.report.machine import Machine


def caller(
    number: int,
    *,
    hit: bool = False,
    gap_s: float = 0.0,
    kept: Kept = "same",
    alike: float = 0.8,
    leaked: int = 0,
    resumed_s: float | None = None,
) -> CallerDuring:
    return CallerDuring(number, hit, gap_s, gap_s, True, alike, kept, (), 0, leaked, 8, resumed_s)


def fault(number: int, kind: str, *callers: CallerDuring, recovered: bool = True) -> FaultMeasured:
    return FaultMeasured(number, kind, 20.0 * number, 20.0, None, recovered, None, 0, callers)


GOOD = (
    fault(0, "nothing", caller(0), caller(1)),
    fault(1, "job", caller(0, hit=True, gap_s=1.7, resumed_s=1.2), caller(1, gap_s=0.3)),
    fault(2, "job", caller(0), caller(1, hit=True, gap_s=1.9, resumed_s=1.4)),
    fault(3, "bursts", caller(0, hit=True, gap_s=0.4), caller(1)),
    fault(4, "loss5", caller(0, hit=True, alike=0.78), caller(1)),
    fault(5, "loss10", caller(0, hit=True, alike=0.7), caller(1)),
    replace(
        fault(
            6,
            "engine",
            caller(0, hit=True, gap_s=9.0, kept="new, and said so"),
            caller(1, hit=True, gap_s=8.0, kept="new, and said so"),
        ),
        unready_s=0.2,
    ),
)
SOAK = SoakMeasured(0, 20.0, 2, 140.0, GOOD, seats_lost=0)


def missed(measured: SoakMeasured) -> list[str]:
    """The goals that are not met."""
    return [goal.name for goal in goals(measured) if goal.met is False]


def with_more(*faults: FaultMeasured) -> SoakMeasured:
    return replace(SOAK, faults=(*GOOD, *faults))


def test_each_kind_has_its_own_gaps_and_those_of_the_others() -> None:
    (job,) = [each for each in of_kinds(SOAK) if each.kind == "job"]
    assert (job.count, job.recovered) == (2, 2)
    assert job.gap_median_s == (1.7 + 1.9) / 2
    assert job.gap_worst_s == 1.9
    assert job.neighbour_s == 0.3
    assert job.resumed_worst_s == 1.4
    assert job.kept == {"same": 2}


def test_calls_that_survive_everything_meet_every_goal() -> None:
    found = list(goals(SOAK))
    assert [goal.met for goal in found] == [True] * len(found)


def test_each_promise_that_is_broken_is_named() -> None:
    assert missed(with_more(fault(7, "reload", caller(0, hit=True, leaked=1)))) == ["leaks between callers"]
    assert missed(with_more(fault(7, "reload", caller(0, hit=True, kept="new, and said so")))) == [
        "conversations lost that should have been kept"
    ]
    assert missed(with_more(fault(7, "livekit", caller(0, hit=True, kept="new")))) == [
        "conversations lost that should have been kept",
        "conversations that began anew without a word",
    ]
    assert missed(with_more(fault(7, "job", caller(0, hit=True, resumed_s=2.3)))) == [
        "session of a killed job resumed, worst"
    ]
    assert missed(with_more(fault(7, "bursts", caller(0, hit=True, gap_s=1.3)))) == [
        "gap of bursts of 200 ms, worst"
    ]
    assert missed(with_more(fault(7, "loss5", caller(0, hit=True, alike=0.6)))) == [
        "5 % loss, less alike than without"
    ]
    assert missed(with_more(fault(7, "away", caller(0, hit=True), recovered=False))) == [
        "faults after which somebody had to call anew"
    ]
    assert missed(replace(SOAK, left_over=("worker",))) == ["processes left over"]


def test_what_nobody_measured_meets_no_goal_and_misses_none() -> None:
    empty = replace(SOAK, faults=(), seats_lost=None)
    assert not missed(empty)
    assert {goal.met for goal in goals(empty)} == {None, True}


def test_the_table_has_a_row_for_each_kind_and_says_why_it_ended_early() -> None:
    stopped = replace(SOAK, stopped="stopped after 7 of 90 faults", skipped=("no packet for 3 s",))
    told = text(Machine.now(), stopped)
    for words in ("a job is killed", "same 2", "new, and said so 2", "note: stopped after 7 of 90 faults"):
        assert words in told
    assert "note: left out, because it needs root, iproute2 and /dev/net/tun: no packet for 3 s" in told
    assert "met: leaks between callers 0" in told
