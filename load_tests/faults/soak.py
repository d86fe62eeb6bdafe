"""`python -m load_tests soak`: faults at random, one every few seconds, while callers talk all the time."""

from typing import Annotated

import typer

from load_tests import options as common
from load_tests.faults import options, schedule
from load_tests.faults.outcome import carry_out
from load_tests.report.outcome import errors_told


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 30.0,
    every: options.Every = 20.0,
    callers: options.Callers = 2,
    only: options.Only = "",
    step_ms: options.StepMs = None,
    seed: options.Seed = 0,
    result: common.Json = None,
    picture: common.Plot = None,
) -> None:
    """Start a service of our own, let something go wrong all the time, and say what callers heard of it."""
    with errors_told():
        kinds, skipped = options.chosen(only)
        slots = schedule.shuffled(kinds, callers, 60 * minutes, every, seed)
        carry_out(options.plan(slots, every, callers, seed, step_ms, skipped), result, picture)
