"""What `bench` is asked for, as the command line says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import SettingError

Context = int | Literal["empty", "full"]
"""How much a session has heard before it is measured, in frames."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured at every level, and where the results go.

    steps: full steps timed one after the other; seconds: of the open loop, its warm-up apart.
    """

    sessions: tuple[int, ...]
    contexts: tuple[Context, ...]
    steps: int
    seconds: float
    json_file: Path | None = None
    plot_file: Path | None = None
    trace_file: Path | None = None
    profile: bool = False
    peer: bool = False


def parse_sessions(text: str) -> tuple[int, ...]:
    """`1,8,32` as numbers. Raises SettingError."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise SettingError(f"--sessions {text}: give numbers of sessions separated by commas, such as 1,8,32")
    return counts


def parse_contexts(text: str) -> tuple[Context, ...]:
    """`empty,500,full` as contexts. Raises SettingError."""
    contexts: list[Context] = []
    for part in (part.strip() for part in text.split(",")):
        if part in ("empty", "full"):
            contexts.append("full" if part == "full" else "empty")
        elif part.isdecimal():
            contexts.append(int(part))
        else:
            raise SettingError(
                f"--context {text}: give empty, full or numbers of frames, such as empty,500,full"
            )
    return tuple(contexts)


def positions(context: Context, capacity: int) -> int:
    """Frames of `context` for a model that sees `capacity` of them. Raises SettingError for more."""
    if context == "empty":
        return 0
    if context == "full":
        return capacity
    if context > capacity:
        raise SettingError(f"--context {context}: this model sees {capacity} frames; give that many or fewer")
    return context
