"""What a benchmark found, as plain data: milliseconds, bytes, shares."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from engine.bench.machine import Machine
from engine.bench.options import Context
from engine.bench.rates import Rates

SOLVED_MISSES = 0.01


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of `count` times, in milliseconds."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: ArrayLike) -> Self:
        """Of times in seconds, at least one."""
        millis = 1000 * np.asarray(seconds, dtype=np.float64).ravel()
        p50, p95, p99, most = (float(value) for value in np.percentile(millis, (50, 95, 99, 100)))
        return cls(millis.size, float(millis.mean()), p50, p95, p99, most)


@dataclass(frozen=True, slots=True)
class FullSteps:
    """Steps with a frame of every session, one after the other. `cpu_ms`: of this process, a step; `spell_s`:
    for about how long they stay as slow or as fast as they are.
    """

    step: Quantiles
    warm_up_steps: int
    cpu_ms: float
    spell_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Sessions that each send a frame every 80 ms, whatever is answered.

    `step` is of the steps as they came, of `mean_batch` sessions; `answer` from a frame's completion to its
    PCM in host memory. A frame whose answer came later than 80 ms, or not at all, is missed: `missed` is the
    mean share over all sessions, refused ones with all of their frames, `missed_worst` that of the worst.
    `sender_late_ms`: the furthest that the schedule itself fell behind.
    """

    seconds: float
    warm_up_s: float
    step: Quantiles
    mean_batch: float
    answer: Quantiles
    missed: float
    missed_worst: float
    sender_late_ms: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one full step: launches that the host makes (None without a GPU) and kernels that run (operators of
    torch that compute, without a GPU).
    """

    host_launches: float | None
    kernels: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A kernel's or an operator's part of the full step."""

    name: str
    calls: float
    ms: float
    share: float


@dataclass(frozen=True, slots=True)
class Level:
    """One number of sessions at one context, `seats` of them let in; `error` says why something is missing.

    `read_bytes` must be read in a full step; `floor_ms` is what that takes at the measured rate. `beside`:
    what the sessions of a second model found during `open_loop`, if there were any.
    """

    sessions: int
    context: Context
    seats: int = 0
    read_bytes: int = 0
    floor_ms: float = 0.0
    full: FullSteps | None = None
    open_loop: OpenLoop | None = None
    counts: Counts | None = None
    peak_bytes: int = 0
    costs: tuple[Cost, ...] = ()
    error: str | None = None
    beside: OpenLoop | None = None

    @property
    def floor_ratio(self) -> float | None:
        """A full step at its median over its floor."""
        return self.full.step.p50 / self.floor_ms if self.full and self.floor_ms else None

    @property
    def solved(self) -> bool:
        """At most 1 % of the frames missed, and no error."""
        return self.error is None and self.open_loop is not None and self.open_loop.missed <= SOLVED_MISSES


@dataclass(frozen=True, slots=True)
class Second:
    """A second model, all of whose sessions spoke beside those of each level; `alone`: before that."""

    checkpoint: str
    alone: Level


@dataclass(frozen=True, slots=True)
class PeerLevel:
    """The peer's full steps at a number of sessions."""

    sessions: int
    step: Quantiles


@dataclass(frozen=True, slots=True)
class Peer:
    """Another implementation at the same shapes."""

    name: str
    levels: tuple[PeerLevel, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All levels, and on what they were measured."""

    checkpoint: str
    weights: str
    kv: str
    machine: Machine
    rates: Rates
    peer: Peer | None
    levels: Sequence[Level] = ()
    second: Second | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        levels = [{**_level_json(level), "peer_ratio": peer_ratio(self.peer, level)} for level in self.levels]
        second = self.second
        return {
            **asdict(self),
            "levels": levels,
            "second": second and {"checkpoint": second.checkpoint, "alone": _level_json(second.alone)},
        }


def _level_json(level: Level) -> dict[str, Any]:
    return {**asdict(level), "floor_ratio": level.floor_ratio, "solved": level.solved}


def peer_ratio(peer: Peer | None, level: Level) -> float | None:
    """Our throughput over the peer's when all sessions are due at once, by the medians of their steps."""
    if peer is None or level.full is None or level.seats != level.sessions:
        return None
    medians = {other.sessions: other.step.p50 for other in peer.levels}
    return medians[level.sessions] / level.full.step.p50 if level.sessions in medians else None
