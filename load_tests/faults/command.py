"""`python -m load_tests faults`: every fault, one kind after the other, while callers talk all the time."""

from typing import Annotated

import typer

from load_tests import options as common
from load_tests.faults import options, schedule
from load_tests.faults.outcome import carry_out
from load_tests.report.outcome import errors_told


def main(
    times: Annotated[int, typer.Option(min=1, help="How often each.")] = 1,
    every: options.Every = 25.0,
    callers: options.Callers = 2,
    only: options.Only = "",
    step_ms: options.StepMs = None,
    seed: options.Seed = 0,
    result: common.Json = None,
    picture: common.Plot = None,
) -> None:
    """Start a service of our own, let each thing go wrong that can, and say what callers heard of it."""
    with errors_told():
        kinds, skipped = options.chosen(only)
        slots = schedule.in_order(kinds, callers, times, every, seed)
        carry_out(options.plan(slots, every, callers, seed, step_ms, skipped), result, picture)
