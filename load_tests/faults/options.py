"""What `faults` and `soak` have in common: they differ in what goes wrong when."""

from collections.abc import Sequence
from typing import Annotated

import typer

from engine.errors import SettingError
from load_tests.faults.kinds import KINDS, Kind, named
from load_tests.faults.run import Plan
from load_tests.faults.schedule import Slot
from load_tests.network.namespace import NEEDS, can_be_made

Every = Annotated[float, typer.Option(min=15, help="Seconds from one fault to the next; more if need be.")]
Callers = Annotated[int, typer.Option(min=1, max=8, help="How many talk, each in a room.")]
Only = Annotated[
    str, typer.Option(help="Some faults alone, separated by commas: " + ", ".join(k.short for k in KINDS))
]
StepMs = Annotated[
    float | None,
    typer.Option(min=0, help="Use a model that waits for so long and repeats what it hears, not parrot."),
]
Seed = Annotated[int, typer.Option(min=0, help="What goes wrong when, whom it hits, and what is said.")]


def chosen(only: str) -> tuple[tuple[Kind, ...], tuple[Kind, ...]]:
    """Faults that can be done here, of those that are named, and those that cannot. Raises SettingError."""
    wanted = named(only)
    possible = tuple(kind for kind in wanted if can_be_made() or not kind.needs_root)
    if not possible:
        raise SettingError(f"--only {only}: a network of our own needs {NEEDS}")
    return possible, tuple(kind for kind in wanted if kind not in possible)


def plan(
    slots: Sequence[Slot],
    every_s: float,
    callers: int,
    seed: int,
    step_ms: float | None,
    skipped: tuple[Kind, ...],
) -> Plan:
    """Raises SettingError if nothing would happen."""
    if not slots:
        raise SettingError("nothing goes wrong in that time: give more --minutes, or less --every")
    return Plan(slots, every_s, callers, seed, can_be_made(), step_ms, skipped)
