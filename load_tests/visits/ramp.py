"""`python -m load_tests ramp`: one caller after the other, until somebody is refused; who notices?"""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from load_tests import options as common
from load_tests.measured import Period, RunMeasured
from load_tests.report.machine import Machine
from load_tests.report.outcome import check_outputs, errors_told, hand_over
from load_tests.report.report import Report
from load_tests.report.summary import Goal
from load_tests.visits import options, plan
from load_tests.visits.measure import measure
from load_tests.visits.periods import around_refusal, split
from load_tests.visits.plot import plot

NOTICED_MS = 20.0
_NOBODY = "nobody was refused: --callers is not more than there are seats"


def main(
    callers: Annotated[int, typer.Option(min=1, help="How many come; some more than there are seats.")] = 10,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one to the next.")] = 3.0,
    stay: Annotated[float, typer.Option(min=5, help="Seconds for which all stay after the last.")] = 15.0,
    url: common.Url = None,
    agent: common.Agent = None,
    engine: options.Engine = "",
    page: options.Page = "",
    secret: options.Secret = "",
    sockets: options.Sockets = False,
    repeats: common.Repeats = None,
    seed: options.Seed = 0,
    result: common.Json = None,
    picture: common.Plot = None,
) -> None:
    """Let callers come until some are refused; say when these knew, and what the others heard of it."""
    with errors_told():
        service = options.Service.of(url, agent, engine, page, secret, sockets=sockets)
        check_outputs(result, picture)
        visits = plan.ramp(callers, every, stay)
        machine = Machine.now()
        found = asyncio.run(measure(service, visits, seed, repeats))
        bounds = around_refusal(visits, found.run.calls, found.run.seconds)
        parts = split(found.run, visits, bounds)
        notes = found.run.notes if len(parts) > 1 else (*found.run.notes, _NOBODY)
        run = replace(found.run, periods=parts, notes=notes)
        goals = (*found.kept, *noticed(run))
        hand_over(Report(machine, run, more_goals=goals), result, picture, plot)


def noticed(run: RunMeasured) -> tuple[Goal, ...]:
    """By those who were let in, of those who were not."""
    before, after = run.periods[0], run.periods[-1]
    slower = unheard = None
    if before is not after and before.lag_p95_ms is not None and after.lag_p95_ms is not None:
        slower = after.lag_p95_ms - before.lag_p95_ms
        unheard = max(0.0, _unheard(after) - _unheard(before))
    return (
        Goal("mouth to ear, p95 after the first refusal above before", NOTICED_MS, slower, "ms"),
        Goal("sentences lost after the first refusal above before", 0, unheard, "%"),
    )


def _unheard(part: Period) -> float:
    """In percent of what was said."""
    return 100 * (1 - part.heard / part.said) if part.said else 0.0
