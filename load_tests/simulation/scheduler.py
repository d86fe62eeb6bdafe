"""One engine's sessions and its steps in virtual time, through the queue that serves calls."""

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_S, FRAME_SAMPLES, Frame, SlotRef
from engine.step.ready_queue import ReadyQueue
from load_tests.simulation.spells import Spells
from load_tests.simulation.step_times import StepTimes

Phases = Literal["even", "random", "aligned"]

WARM_UP_S = 2.0
SOLVED_MISSES = 0.01
_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)


@dataclass(frozen=True, slots=True)
class Load:
    """Sessions that each send a frame every 80 ms for `seconds` after a warm-up, whatever is answered.

    phases: how their frames lie to each other; each frame comes up to `jitter_s` late, evenly spread.
    spell_s: for about how long the machine stays as fast or slow as it happens to be.
    """

    sessions: int
    seconds: float
    phases: Phases = "random"
    jitter_s: float = 0.0
    spell_s: float = 0.0

    def arrivals(self, random: np.random.Generator) -> NDArray[np.float64]:
        """When each frame is complete in the engine, seconds [T, B]; a session's frames in their order."""
        count = math.ceil(WARM_UP_S / FRAME_S) + max(1, round(self.seconds / FRAME_S))
        phases = {
            "even": np.arange(self.sessions) / self.sessions,
            "random": random.random(self.sessions),
            "aligned": np.zeros(self.sessions),
        }[self.phases]
        due = FRAME_S * (np.arange(count)[:, None] + phases)
        late = random.uniform(0.0, self.jitter_s, due.shape) if self.jitter_s else 0.0
        return np.maximum.accumulate(due + late, axis=0)


@dataclass(frozen=True, slots=True)
class Steps:
    """What became of frames that arrived at `arrived` [T, B], in seconds: their step began and ended.

    `batches`: sessions in each step; `step_s`: its time.
    """

    arrived: NDArray[np.float64]
    began: NDArray[np.float64]
    ended: NDArray[np.float64]
    batches: NDArray[np.int64]
    step_s: NDArray[np.float64]


def run(arrived: NDArray[np.float64], times: StepTimes, spells: Spells) -> Steps:
    """Step as the engine does: at once when a frame is ready, with all that `ReadyQueue` gives then."""
    queue = ReadyQueue()
    slots = [SlotRef(index, 0) for index in range(arrived.shape[1])]
    order = np.argsort(arrived, axis=None, kind="stable")
    coming = [divmod(int(place), len(slots)) for place in order]
    at = arrived.ravel()[order].tolist()
    began, ended = np.empty_like(arrived), np.empty_like(arrived)
    batches: list[int] = []
    step_s: list[float] = []
    now, put, answered = 0.0, 0, 0
    while answered < len(coming):
        if put == answered:
            now = max(now, at[put])
        while put < len(coming) and at[put] <= now:
            number, slot = coming[put]
            queue.put(Frame(slots[slot], number, _SILENCE, at[put]))
            put += 1
        work = queue.take()
        assert isinstance(work, list), "nobody joins and nothing closes the queue"
        frames = [frame for frame in work if isinstance(frame, Frame)]
        took_s = times.quantile_s(len(frames), spells.share(now))
        for frame in frames:
            began[frame.number, frame.slot.index] = now
            ended[frame.number, frame.slot.index] = now + took_s
        now += took_s
        answered += len(frames)
        batches.append(len(frames))
        step_s.append(took_s)
    return Steps(arrived, began, ended, np.array(batches), np.array(step_s))


@dataclass(frozen=True, slots=True)
class Quantiles:
    """In milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> Self:
        """Of times in seconds, at least one."""
        return cls(*(1000 * float(value) for value in np.percentile(seconds, (50, 95, 99, 100))))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `sessions` meet. `queue` is the wait for the step, `answer` that and the step.

    `missed`: share of frames answered more than 80 ms after they were complete, `missed_worst` of the worst
    session; `busy`: share of the time in which a step runs; `beyond_measured`: share of the steps that held
    more sessions than were measured; `bound_ms`: what the engine itself expects of its latest answers, by
    which it has `offered` so many seats or not.
    """

    sessions: int
    queue: Quantiles
    step: Quantiles
    answer: Quantiles
    mean_batch: float
    busy: float
    missed: float
    missed_worst: float
    beyond_measured: float
    bound_ms: float
    offered: bool

    @property
    def solved(self) -> bool:
        """At most 1 % of the frames missed, as a level of the benchmark is."""
        return self.missed <= SOLVED_MISSES


def predict(load: Load, times: StepTimes, seed: int = 0) -> Prediction:
    """Run `load`, and sum it up; frames of the warm-up do not count. The same seed gives the same numbers."""
    random = np.random.default_rng(seed)
    steps = run(load.arrivals(random), times, Spells(load.spell_s, random))
    first = math.ceil(WARM_UP_S / FRAME_S)
    arrived, began, ended = (times_s[first:] for times_s in (steps.arrived, steps.began, steps.ended))
    missed = (ended - arrived > FRAME_S).mean(axis=0)
    admitted = times.as_admitted(load.sessions)
    return Prediction(
        sessions=load.sessions,
        queue=Quantiles.of(began - arrived),
        step=Quantiles.of(steps.step_s),
        answer=Quantiles.of(ended - arrived),
        mean_batch=float(steps.batches.mean()),
        busy=float(steps.step_s.sum() / (steps.ended.max() - steps.arrived.min())),
        missed=float(missed.mean()),
        missed_worst=float(missed.max()),
        beyond_measured=float((steps.batches > times.measured_up_to).mean()),
        bound_ms=1000 * admitted.answer_s(load.sessions),
        offered=admitted.in_time(load.sessions),
    )
