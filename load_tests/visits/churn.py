"""`python -m load_tests churn`: callers join and leave all the time; does anything wear out?"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from engine.errors import SettingError
from load_tests import options as common
from load_tests.measured import RunMeasured
from load_tests.report.machine import Machine
from load_tests.report.outcome import check_outputs, errors_told, hand_over
from load_tests.report.report import Report
from load_tests.report.roles import Role
from load_tests.report.summary import Goal
from load_tests.visits import options, plan
from load_tests.visits.measure import measure
from load_tests.visits.periods import split, thirds
from load_tests.visits.plot import plot

GROWN_PERCENT = 5.0
SLOWER_MS = 20.0


def main(
    rate: Annotated[float, typer.Option(min=0.1, help="Callers a minute, in the mean.")] = 10.0,
    talk: Annotated[float, typer.Option(min=5, help="Seconds for which each speaks, in the mean.")] = 15.0,
    minutes: Annotated[float, typer.Option(min=0.1, help="Until the last one has left.")] = 5.0,
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
    """Let callers come and go at random; say whether the last ones fared as the first ones did."""
    with errors_told():
        service = options.Service.of(url, agent, engine, page, secret, sockets=sockets)
        check_outputs(result, picture)
        visits = plan.churn(rate, talk, 60 * minutes, seed)
        if not visits:
            raise SettingError(
                f"nobody comes in {minutes:g} minutes: give more --minutes, or a higher --rate"
            )
        machine = Machine.now()
        found = asyncio.run(measure(service, visits, seed, repeats))
        run = replace(found.run, periods=split(found.run, visits, thirds(found.run.seconds)))
        goals = (*found.kept, slower(run), *grown(run))
        hand_over(Report(machine, run, more_goals=goals), result, picture, plot)


def slower(run: RunMeasured) -> Goal:
    """Whether those at the end wait longer than those at the beginning did."""
    early, late = run.periods[0].lag_p99_ms, run.periods[-1].lag_p99_ms
    more = None if early is None or late is None else late - early
    return Goal("mouth to ear, p99 of the last third above the first", SLOWER_MS, more, "ms")


def grown(run: RunMeasured) -> Iterator[Goal]:
    """Of what lives on between calls. What is taken once, in the first half, stays taken."""
    for process in run.processes:
        if process.name in (Role.WORKER, Role.ENGINE, Role.LIVEKIT) and process.rss_mb_middle:
            grown = 100 * (process.rss_mb_last / process.rss_mb_middle - 1)
            yield Goal(f"memory of the {process.name}, growth in the second half", GROWN_PERCENT, grown, "%")
