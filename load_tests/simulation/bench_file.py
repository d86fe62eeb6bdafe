"""What `python -m engine bench` measured, read from its file."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from engine.errors import SettingError


@dataclass(frozen=True, slots=True)
class Times:
    """Quantiles of times, in milliseconds, as the file has them."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """One of the file's tables of quantiles."""
        return cls(*(float(found[name]) for name in ("mean", "p50", "p95", "p99", "max")))


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """What sessions met that sent a frame every 80 ms for `seconds`, phases spread evenly."""

    seconds: float
    step: Times
    mean_batch: float
    answer: Times
    missed: float
    missed_worst: float


@dataclass(frozen=True, slots=True)
class BenchLevel:
    """Steps with all of so many sessions, and the open loop if it was measured.

    spell_s: for about how long steps stayed as slow as they were; None in older files.
    """

    sessions: int
    step: Times
    open_loop: OpenLoop | None
    spell_s: float | None = None


@dataclass(frozen=True, slots=True)
class BenchFile:
    """The levels of one context, fewest sessions first, and on what they were measured."""

    name: str
    title: str
    context: str
    levels: tuple[BenchLevel, ...]

    @property
    def spell_s(self) -> float:
        """The median over all levels; 0 if none has it."""
        return median([level.spell_s for level in self.levels if level.spell_s is not None] or [0.0])

    @classmethod
    def read(cls, path: Path, context: str) -> Self:
        """The levels of `context` (`full`, `empty` or a number of frames). Raises SettingError."""
        try:
            report = json.loads(path.read_text())
            contexts = list(dict.fromkeys(str(level["context"]) for level in report["levels"]))
            levels = [_level(level) for level in report["levels"] if str(level["context"]) == context]
            title = (
                f"{report['checkpoint']}, weights {report['weights']}, keys and values {report['kv']}, "
                f"{report['machine']['device']}, {report['machine']['date'][:10]}"
            )
        except OSError as error:
            raise SettingError(f"--results {path}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError):
            raise SettingError(
                f"--results {path}: this is not what `python -m engine bench --json FILE` writes"
            ) from None
        found = sorted((level for level in levels if level is not None), key=lambda level: level.sessions)
        if not found:
            raise SettingError(
                f"--context {context}: {path} has no steps measured at it, but at {', '.join(contexts)}"
            )
        return cls(path.name, title, context, tuple(found))


def _level(level: dict[str, Any]) -> BenchLevel | None:
    if level["full"] is None or level["seats"] != level["sessions"]:
        return None
    loop = level["open_loop"]
    return BenchLevel(
        int(level["sessions"]),
        Times.read(level["full"]["step"]),
        loop
        and OpenLoop(
            float(loop["seconds"]),
            Times.read(loop["step"]),
            float(loop["mean_batch"]),
            Times.read(loop["answer"]),
            float(loop["missed"]),
            float(loop["missed_worst"]),
        ),
        level["full"].get("spell_s"),
    )
