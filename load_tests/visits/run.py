"""One run of callers who come and go; what came of it."""

import asyncio
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from load_tests.callers import crowd
from load_tests.callers.crowd import TOGETHER, Manner
from load_tests.callers.measure import LONGEST_S, Said, measured, said_by
from load_tests.callers.one_call import Seat
from load_tests.callers.recorded import CallRecorded
from load_tests.callers.run import ESTIMATED, SERVICE, model_delay_s, models_of, tell
from load_tests.callers.script import Script
from load_tests.measured import CallMeasured, RunMeasured
from load_tests.report.watch import Watch
from load_tests.visits.plan import Visit, at_once
from load_tests.visits.ways import Way, seats

_SLACK_S = 2.0


@dataclass(frozen=True, slots=True)
class Coming:
    """Who comes, what they say, whom they call. engine_url: whose metrics are read, "" for none."""

    visits: tuple[Visit, ...]
    seed: int
    way: Way
    engine_url: str = ""

    @property
    def seconds(self) -> float:
        """Until the last one has left."""
        return max(visit.leaves_at_s for visit in self.visits) + _SLACK_S


async def run(coming: Coming, repeats: bool | None) -> RunMeasured:
    """Let them come, and understand it all afterwards.

    repeats: whether what is said is looked for in what comes back; None: if the model says that it is parrot.
    Raises CallersFailed, UserError.
    """
    watch = Watch(coming.way.livekit_url, coming.engine_url)
    guests = seats(coming.way, coming.visits)
    most = at_once(coming.visits)
    manner = Manner(
        "load_tests.visits.process", TOGETHER.per_process, 0.0, math.ceil(most / TOGETHER.per_process)
    )
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        tell(f"{SERVICE}: {len(guests)} callers come within {coming.seconds:.0f} s, up to {most} at once")
        recorded = await crowd.record(
            guests, coming.seed, coming.seconds, Path(folder), watch.during, manner=manner
        )
    delay_s = model_delay_s(models_of(recorded), repeats)
    tell(f"{SERVICE}: looking for what was said in what came back")
    calls = await asyncio.to_thread(_understand, coming, guests, recorded, delay_s)
    return RunMeasured(
        SERVICE,
        1000 * (delay_s or 0.0),
        coming.seconds,
        tuple(calls),
        watch.processes,
        watch.gpu,
        notes=(*((ESTIMATED,) if delay_s is None else ()), *watch.notes),
    )


def _understand(
    coming: Coming, guests: Sequence[Seat], recorded: Sequence[CallRecorded], delay_s: float | None
) -> list[CallMeasured]:
    scripts = [Script.of(coming.seed, seat.speaks_as, seat.seconds) for seat in guests]
    said = [said_by(one, script) for one, script in zip(recorded, scripts, strict=True)]
    calls = []
    for number, (one, script) in enumerate(zip(recorded, scripts, strict=True)):
        others = [
            each
            for other, their in enumerate(said)
            if other != number
            for each in _meanwhile(their, recorded[other], one, script.seconds)
        ]
        calls.append(measured(one, script, said[number], others, delay_s))
    return calls


def _meanwhile(said: Sequence[Said], by: CallRecorded, to: CallRecorded, seconds: float) -> list[Said]:
    """What one caller said while another was there, in the other's own time."""
    shift_s = by.begins_at_s - to.begins_at_s
    moved = [replace(each, at_s=each.at_s + shift_s) for each in said]
    return [each for each in moved if -LONGEST_S < each.at_s < seconds]
