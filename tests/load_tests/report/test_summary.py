from dataclasses import replace

import pytest

from load_tests.report.report import Report
from load_tests.report.summary import Summary, added, goals
from tests.load_tests.report.made import MACHINE, call, process, run


def test_the_models_own_delay_is_taken_off_and_the_rest_is_over_all_callers() -> None:
    summary = Summary.of(run("the service", 1000.0, call(0, 1200.0, 1210.0), call(1, 1220.0)))
    assert summary.lag_ms is not None
    assert (summary.lag_ms.count, summary.lag_ms.p50, summary.lag_ms.worst) == (3, 210, 220)


def test_a_refused_caller_stays_in_the_count_and_out_of_the_times() -> None:
    refused = call(1, refused="engine_full", refused_after_s=1.5, said=3, heard=0, join_s=None)
    measured = run("the service", 0.0, call(0, 200.0), refused)
    summary = Summary.of(measured)
    assert (summary.callers, summary.refused, summary.worst) == (2, 1, 0)
    assert (summary.said, summary.heard) == (4, 1)
    assert summary.lag_ms is not None
    assert summary.lag_ms.count == 1
    knows = goals(measured, None)[-1]
    assert (knows.measured, knows.met) == (1.5, True)


@pytest.mark.parametrize(("after_s", "met"), [(3.5, False), (None, None)])
def test_a_refused_caller_must_know_soon(after_s: float | None, met: bool | None) -> None:
    refused = call(0, refused="nobody came", refused_after_s=after_s)
    assert goals(run("the service", 0.0, refused), None)[-1].met is met


def test_the_worst_caller_heard_strangers_lost_words_or_waited_longest() -> None:
    slow, quick = call(0, 300.0, 310.0), call(1, 200.0, 200.0)
    deaf = call(2, said=2, heard=0)
    disturbed = call(3, 200.0, leaked=1)

    def worst(*calls: object) -> int | None:
        return Summary.of(run("the service", 0.0, *calls)).worst  # type: ignore[arg-type]  # calls

    assert worst(quick, slow) == 0
    assert worst(quick, slow, deaf) == 2
    assert worst(quick, slow, deaf, disturbed) == 3
    assert worst() is None


def test_holes_are_counted_by_how_long_they_are() -> None:
    measured = run("the service", 0.0, call(0, gaps_ms=(41.0, 90.0)), call(1, gaps_ms=(200.0,)))
    assert Summary.of(measured).gaps == (3, 2, 1)


def test_what_the_service_adds_is_judged_beside_the_echo() -> None:
    echo = run("bare echo", 0.0, call(0, *(180.0 + n for n in range(21))))
    used = (process("worker", 4.0), process("worker's jobs", 5.0), process("engine", 90.0))
    service = run("the service", 1000.0, call(0, *(1195.0 + n for n in range(21))), processes=used)
    assert added(service, echo) == (15.0, 15.0)
    assert [goal.met for goal in goals(service, echo)] == [True, False, True]
    assert [goal.met for goal in goals(service, None)] == [None, False, True]
    slower = replace(service, calls=(call(0, 1250.0), call(1, 1250.0, leaked=2)))
    assert [goal.met for goal in goals(slower, echo)] == [False, True, False]


def test_where_nothing_can_be_compared_leaks_are_not_judged() -> None:
    silent = run("the service", 80.0, call(0))
    assert [goal.met for goal in goals(silent, None)] == [None, None, None]


def test_a_call_that_broke_off_is_worse_than_one_that_is_slow() -> None:
    broken = call(1, 200.0, lost="the agent was gone")
    summary = Summary.of(run("the service", 0.0, call(0, 900.0), broken))
    assert (summary.worst, summary.lost) == (1, 1)


def test_the_echo_comes_first() -> None:
    service, echo = run("the service", 0.0), run("bare echo", 0.0)
    assert [one.what for one in Report(MACHINE, service, echo).runs] == ["bare echo", "the service"]
    assert [one.what for one in Report(MACHINE, service).runs] == ["the service"]
