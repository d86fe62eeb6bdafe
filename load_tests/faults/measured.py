"""What became of calls while things went wrong: plain data."""

from dataclasses import dataclass
from typing import Literal

from load_tests.measured import ProcessMeasured

Kept = Literal["same", "new, and said so", "new", "none"]


@dataclass(frozen=True, slots=True)
class CallerDuring:
    """One caller from a fault until the next.

    hit: the fault was about this caller. gap_s: the longest time during which nothing of what they had said
    could be heard; gaps_s: all such times together. heard_last: whether they could hear it at the end.
    alike: how like what came back was to what was said, the mean; None if nothing came. kept: what of the
    conversation. told: what was written to them. came_in: how often they had to enter the room again.
    leaked: words of other callers, in stretches of 2.5 s, that could be heard. resumed_s: after the fault,
    until the engine had a connected session of theirs again, if it had lost one.
    """

    caller: int
    hit: bool
    gap_s: float
    gaps_s: float
    heard_last: bool
    alike: float | None
    kept: Kept
    told: tuple[str, ...]
    came_in: int
    leaked: int
    compared: int
    resumed_s: float | None
    sessions: int = 1
    """Of the engine in their room."""


@dataclass(frozen=True, slots=True)
class FaultMeasured:
    """A fault, `at_s` after the beginning, and the `seconds` until the next. kind: its short name.

    failed: why it could not be done, or what was not as it should be, None for nothing. recovered: everybody
    heard themselves again before the next. unready_s: how soon the engine's /readyz was not 200, None if it
    was all the time. missed: frames that the engine answered late, None where it was started again.
    """

    number: int
    kind: str
    at_s: float
    seconds: float
    failed: str | None
    recovered: bool
    unready_s: float | None
    missed: int | None
    callers: tuple[CallerDuring, ...]


@dataclass(frozen=True, slots=True)
class SoakMeasured:
    """All of it. seats_lost: taken by nobody when all had left; None if the engine could not be asked.
    left_over: processes that outlived the run. stopped: why it ended before its time.
    """

    seed: int
    every_s: float
    callers: int
    seconds: float
    faults: tuple[FaultMeasured, ...]
    processes: tuple[ProcessMeasured, ...] = ()
    seats_lost: int | None = None
    left_over: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    stopped: str | None = None
