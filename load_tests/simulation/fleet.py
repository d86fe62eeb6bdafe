"""Engines and their callers over days, event by event in virtual time."""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal

import numpy as np

from load_tests.simulation.erlang import refused_share

Lengths = Literal["exponential", "lognormal"]

REDIAL_S = 5.0
"""The longest until a caller whose call was cut off calls again."""
_LOG_SPREAD = 1.0
"""Standard deviation of the logarithm of lengths: one call in 20 is longer than 3.1 times the mean."""
_WARM_UP_CALLS = 5


@dataclass(frozen=True, slots=True)
class Fleet:
    """Engines with `seats` each, and who calls them. Each caller gets the engine with the most free seats.

    call_s: mean length; release_s: how long a seat stays taken after its call. An engine fails every
    `failure_every_s` on average; the whole fleet is updated every `update_every_s`, one engine after the
    other, each given `drain_s` to finish its calls. Either takes an engine away for `restart_s`. Infinity is
    never.
    """

    engines: int
    seats: int
    calls_per_hour: float
    call_s: float
    lengths: Lengths = "exponential"
    release_s: float = 0.0
    failure_every_s: float = math.inf
    update_every_s: float = math.inf
    drain_s: float = 3600.0
    restart_s: float = 60.0

    @property
    def erlangs(self) -> float:
        """Seats that are taken on average if nobody is refused."""
        return self.calls_per_hour / 3600 * (self.call_s + self.release_s)

    @property
    def erlang_b(self) -> float:
        """Share of calls that a fleet without failures and updates refuses."""
        return refused_share(self.erlangs, self.engines * self.seats)


@dataclass(frozen=True, slots=True)
class Days:
    """What happened, after a warm-up, in `seconds`.

    `refused` of `calls` found no seat. `interrupted` calls were cut off by a failure or by the end of a
    drain; each of these callers called again, and `lost` of them found no seat. `in_calls`: mean share of
    all seats.
    """

    seconds: float
    calls: int
    refused: int
    interrupted: int
    lost: int
    in_calls: float


@dataclass(slots=True, eq=False)
class _Engine:
    """`calls` by number, each with the time of its end. What was planned before a start is void after it."""

    free: int
    state: Literal["up", "draining", "down"] = "up"
    calls: dict[int, float] = field(default_factory=dict)
    starts: int = 0


class Simulation:
    """One run of `fleet`; the same seed gives the same days."""

    def __init__(self, fleet: Fleet, seconds: float, seed: int = 0) -> None:
        self._fleet = fleet
        self._warm_up_s = _WARM_UP_CALLS * fleet.call_s
        self._seconds = seconds
        self._random = np.random.default_rng(seed)
        self._now = 0.0
        self._order = count()
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._engines = [_Engine(fleet.seats) for _ in range(fleet.engines)]
        self._to_update: deque[_Engine] = deque()
        self._updating: _Engine | None = None
        self._in_calls = 0
        self._call_s = 0.0
        self._counts: Counter[str] = Counter()

    def run(self) -> Days:
        """All of it."""
        self._after(self._gap_s(), self._caller_comes)
        self._after(self._fleet.update_every_s, self._update)
        for engine in self._engines:
            self._plan_failure(engine)
        end = self._warm_up_s + self._seconds
        while self._events[0][0] < end:
            at, _, happen = heapq.heappop(self._events)
            self._pass_until(at)
            happen()
        self._pass_until(end)
        counts = self._counts
        return Days(
            seconds=self._seconds,
            calls=counts["calls"],
            refused=counts["refused"],
            interrupted=counts["interrupted"],
            lost=counts["lost"],
            in_calls=self._call_s / (self._seconds * self._fleet.engines * self._fleet.seats),
        )

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        if seconds < math.inf:
            heapq.heappush(self._events, (self._now + seconds, next(self._order), happen))

    def _pass_until(self, at: float) -> None:
        self._call_s += self._in_calls * max(0.0, at - max(self._now, self._warm_up_s))
        self._now = at

    def _count(self, what: str) -> None:
        self._counts[what] += self._now >= self._warm_up_s

    def _gap_s(self) -> float:
        return float(self._random.exponential(3600 / self._fleet.calls_per_hour))

    def _length_s(self) -> float:
        mean = self._fleet.call_s
        if self._fleet.lengths == "exponential":
            return float(self._random.exponential(mean))
        return float(self._random.lognormal(math.log(mean) - _LOG_SPREAD**2 / 2, _LOG_SPREAD))

    def _caller_comes(self) -> None:
        self._after(self._gap_s(), self._caller_comes)
        self._count("calls")
        if not self._seated(self._length_s()):
            self._count("refused")

    def _calls_again(self, rest_s: float) -> None:
        if not self._seated(rest_s):
            self._count("lost")

    def _seated(self, length_s: float) -> bool:
        up = (engine for engine in self._engines if engine.state == "up")
        engine = max(up, key=lambda engine: engine.free, default=None)
        if engine is None or not engine.free:
            return False
        number = next(self._numbers)
        engine.free -= 1
        engine.calls[number] = self._now + length_s
        self._in_calls += 1
        self._after(length_s, partial(self._hang_up, engine, number))
        return True

    def _hang_up(self, engine: _Engine, number: int) -> None:
        if engine.calls.pop(number, None) is not None:
            self._in_calls -= 1
            self._after(self._fleet.release_s, partial(self._release, engine, engine.starts))

    def _release(self, engine: _Engine, starts: int) -> None:
        if engine.starts == starts:
            engine.free += 1
            if engine.state == "draining" and engine.free == self._fleet.seats:
                self._restart(engine, starts)

    def _plan_failure(self, engine: _Engine) -> None:
        every_s = self._fleet.failure_every_s
        if every_s < math.inf:
            in_s = float(self._random.exponential(every_s))
            self._after(in_s, partial(self._restart, engine, engine.starts))

    def _restart(self, engine: _Engine, starts: int) -> None:
        if engine.starts != starts:
            return
        for ends_at in engine.calls.values():
            self._count("interrupted")
            rest_s = ends_at - self._now
            self._after(float(self._random.uniform(0, REDIAL_S)), partial(self._calls_again, rest_s))
        self._in_calls -= len(engine.calls)
        engine.calls.clear()
        engine.starts += 1
        engine.state = "down"
        self._after(self._fleet.restart_s, partial(self._come_up, engine))

    def _come_up(self, engine: _Engine) -> None:
        engine.state, engine.free = "up", self._fleet.seats
        self._plan_failure(engine)
        if engine is self._updating:
            self._update_next()

    def _update(self) -> None:
        self._after(self._fleet.update_every_s, self._update)
        if self._updating is None:
            self._to_update.extend(self._engines)
            self._update_next()

    def _update_next(self) -> None:
        self._updating = None
        while self._to_update and self._updating is None:
            engine = self._to_update.popleft()
            # One that is down comes back as the new one anyway.
            if engine.state == "up":
                self._drain(engine)

    def _drain(self, engine: _Engine) -> None:
        self._updating = engine
        engine.state = "draining"
        if engine.free == self._fleet.seats:
            self._restart(engine, engine.starts)
        else:
            self._after(self._fleet.drain_s, partial(self._restart, engine, engine.starts))


@dataclass(frozen=True, slots=True)
class Share:
    """A mean over runs, and two standard errors of it."""

    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What callers of a fleet meet, as shares of calls, and how full its seats are, over all runs."""

    fleet: Fleet
    erlangs: float
    erlang_b: float
    calls: int
    refused: Share
    interrupted: Share
    lost: Share
    in_calls: Share


def foresee(fleet: Fleet, seconds: float, runs: int, seed: int = 0) -> Outlook:
    """So many runs of `seconds` each, which differ in their seeds alone. At least two."""
    days = [Simulation(fleet, seconds, seed + number).run() for number in range(runs)]

    def of_calls(what: Callable[[Days], int]) -> Share:
        return _share([what(day) / max(1, day.calls) for day in days])

    return Outlook(
        fleet=fleet,
        erlangs=fleet.erlangs,
        erlang_b=fleet.erlang_b,
        calls=sum(day.calls for day in days),
        refused=of_calls(lambda day: day.refused),
        interrupted=of_calls(lambda day: day.interrupted),
        lost=of_calls(lambda day: day.lost),
        in_calls=_share([day.in_calls for day in days]),
    )


def _share(of_runs: list[float]) -> Share:
    spread = float(np.std(of_runs, ddof=1)) if len(of_runs) > 1 else math.inf
    return Share(float(np.mean(of_runs)), 2 * spread / math.sqrt(len(of_runs)))
