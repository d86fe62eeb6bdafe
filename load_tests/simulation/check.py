"""The simulation beside the engine: what the benchmark's own open loop should have met, and what it met."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from load_tests.simulation.bench_file import BenchFile, OpenLoop
from load_tests.simulation.scheduler import Load, Prediction, predict
from load_tests.simulation.step_times import StepTimes


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the most of several runs."""

    low: float
    high: float

    @classmethod
    def of(cls, runs: list[Prediction], value: Callable[[Prediction], float]) -> Self:
        """Of one value of each run."""
        values = [value(run) for run in runs]
        return cls(min(values), max(values))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`expected` over a time `runs` times as long as the measurement, and how far runs of its length differ.

    Times in milliseconds, `missed` a share of the frames.
    """

    runs: int
    expected: Prediction
    p50: Range
    p95: Range
    p99: Range
    missed: Range
    measured: OpenLoop


def compare(bench: BenchFile, times: StepTimes, spell_s: float, runs: int, seed: int = 0) -> list[Comparison]:
    """Each level with an open loop, in the order of the file."""
    return [
        _compare(level.sessions, level.open_loop, times, spell_s, runs, seed)
        for level in bench.levels
        if level.open_loop is not None
    ]


def _compare(
    sessions: int, measured: OpenLoop, times: StepTimes, spell_s: float, runs: int, seed: int
) -> Comparison:
    # Its senders' phases are spread evenly, and its frames come when they are due.
    one = Load(sessions, measured.seconds, "even", spell_s=spell_s)
    short = [predict(one, times, seed + 1 + number) for number in range(runs)]
    return Comparison(
        runs=runs,
        expected=predict(replace(one, seconds=runs * measured.seconds), times, seed),
        p50=Range.of(short, lambda run: run.answer.p50),
        p95=Range.of(short, lambda run: run.answer.p95),
        p99=Range.of(short, lambda run: run.answer.p99),
        missed=Range.of(short, lambda run: run.missed),
        measured=measured,
    )
