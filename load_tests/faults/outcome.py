"""Carries a plan out and hands over what was found, however it ends."""

import asyncio
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

from load_tests.callers.run import tell
from load_tests.faults.measured import SoakMeasured
from load_tests.faults.plot import plot
from load_tests.faults.run import Plan, Soak
from load_tests.faults.summary import goals, of_kinds
from load_tests.faults.table import text
from load_tests.report.machine import Machine
from load_tests.report.outcome import check_outputs
from load_tests.report.report import write_json


def carry_out(plan: Plan, result: Path | None, picture: Path | None) -> None:
    """Show, write and draw what was found, also after an error or a signal. Raises EngineError."""
    check_outputs(result, picture)
    machine = Machine.now()
    soak = asyncio.run(_begin(plan))
    failed = soak.failed
    print(text(machine, soak.measured))
    if result is not None:
        write_json(to_json(machine, soak.measured), result)
    if picture is not None:
        plot(machine, soak.measured, picture)
    if failed is not None:
        raise failed


def to_json(machine: Machine, measured: SoakMeasured) -> dict[str, Any]:
    """Plain data: what was measured, and what follows from it."""
    return {
        "machine": asdict(machine),
        "kinds": [asdict(each) for each in of_kinds(measured)],
        "goals": [{**asdict(goal), "met": goal.met} for goal in goals(measured)],
        **asdict(measured),
    }


async def _begin(plan: Plan) -> Soak:
    """Until it is over, or a signal says so."""
    stop = asyncio.Event()
    soak = Soak(plan, stop)

    def end() -> None:
        tell("stopping: what was found so far is written")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await soak.run()
    return soak
