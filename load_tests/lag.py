"""`python -m load_tests.lag --rooms N --seconds S`: how long from a caller's mouth to their ear.

Against a running worker and engine whose model repeats what it hears (`parrot`), in N rooms at the same time.
Each caller says short tones of their own; each tone that comes back is a measurement. `--baseline` measures a
bare LiveKit echo in the same way. LIVEKIT_URL and the rest come from the environment as always.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from engine.errors import EngineError
from worker.caller import SPEAKING_RATE, Caller, new_room
from worker.lag import envelope
from worker.settings import LiveKitSettings

PARROT_DELAY_S = 1.007
TONES_HZ = (400, 700, 1200, 3000, 500, 850, 1000, 2250)
BURST_S = 0.2
SPACING_S = (1.5, 2.0)
"""Least and most from one tone to the next: more than LONGEST_S, so that no answer is taken for another's."""
LONGEST_S = 1.4
AUDIBLE = 0.01
HOP_S = 0.01


@dataclass(frozen=True, slots=True)
class Lags:
    """Mouth to ear of every tone that came back, beyond the model's own delay, in milliseconds."""

    what: str
    rooms: int
    model_delay_ms: float
    said: int
    heard: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float

    @classmethod
    def of(cls, what: str, rooms: int, model_delay_s: float, lags_s: list[float | None]) -> "Lags":
        found = [1000 * (lag_s - model_delay_s) for lag_s in lags_s if lag_s is not None]
        if not found:
            raise EngineError(
                f"{what}: of {len(lags_s)} tones none came back: does the model repeat what it hears?"
            )
        quantiles = [round(float(value), 1) for value in np.percentile(found, [50, 95, 99, 100])]
        return cls(what, rooms, 1000 * model_delay_s, len(lags_s), len(found), *quantiles)

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.rooms} callers, {self.heard} of {self.said} tones came back; "
            f"beyond the model's {self.model_delay_ms:.0f} ms: p50 {self.p50_ms} p95 {self.p95_ms} "
            f"p99 {self.p99_ms} worst {self.worst_ms} ms"
        )


def tones(frequency_hz: float, seconds: float, seed: int) -> tuple[NDArray[np.int16], list[int]]:
    """Tones at random times, int16 [N] at SPEAKING_RATE, and the sample at which each begins."""
    pcm = np.zeros(round(seconds * SPEAKING_RATE), np.int16)
    times = np.arange(round(BURST_S * SPEAKING_RATE)) / SPEAKING_RATE
    burst = np.asarray(
        0.25 * 32767 * np.sin(2 * np.pi * frequency_hz * times) * np.hanning(len(times)), np.int16
    )
    random = np.random.default_rng(seed)
    begins, at_s = [], 0.5
    while at_s + SPACING_S[1] < seconds:
        begins.append(round(at_s * SPEAKING_RATE))
        pcm[begins[-1] : begins[-1] + len(burst)] = burst
        at_s += random.uniform(*SPACING_S)
    return pcm, begins


def heard_after(middle_s: float, earliest_s: float, heard: NDArray[np.float64]) -> float | None:
    """How long after `middle_s` the middle of its answer is heard, at least `earliest_s`; None if nothing is.

    heard: envelope [T], 10 ms each.
    """
    first = round((middle_s + earliest_s) / HOP_S)
    energy = np.square(heard[first : first + round(LONGEST_S / HOP_S)])
    if not len(energy) or energy.max() < AUDIBLE**2:
        return None
    # The loudest tone in there and what belongs to it: a neighbour may reach into the window at its ends.
    peak = int(energy.argmax())
    reach = round(BURST_S / HOP_S)
    near = np.arange(max(0, peak - reach), min(len(energy), peak + reach + 1))
    centre = float((near * energy[near]).sum() / energy[near].sum())
    return (first + centre + 0.5) * HOP_S - middle_s


async def lags_of_one(
    settings: LiveKitSettings,
    room: str,
    number: int,
    seconds: float,
    model_delay_s: float,
    start: asyncio.Barrier,
) -> list[float | None]:
    """One caller's lags."""
    pcm, begins = tones(TONES_HZ[number % len(TONES_HZ)], seconds, seed=number)
    async with Caller.join(settings, room) as caller:
        await caller.wait_for_agent()
        await start.wait()
        await caller.say(pcm)
        await asyncio.sleep(model_delay_s + LONGEST_S)
        heard = envelope(caller.heard)
        half = round(BURST_S * SPEAKING_RATE / 2)
        # Nothing is answered sooner than the model can: 0.1 s of tolerance for what the envelope smears.
        earliest_s = max(0.0, model_delay_s - 0.1)
        return [heard_after(caller.spoken_at(begin + half), earliest_s, heard) for begin in begins]


async def measure(
    what: str, settings: LiveKitSettings, names: list[str], seconds: float, model_delay_s: float
) -> Lags:
    """All callers at the same time."""
    start = asyncio.Barrier(len(names))
    async with asyncio.TaskGroup() as callers:
        calls = [
            callers.create_task(lags_of_one(settings, room, number, seconds, model_delay_s, start))
            for number, room in enumerate(names)
        ]
    return Lags.of(what, len(names), model_delay_s, [lag_s for call in calls for lag_s in call.result()])


@contextmanager
def echoing(names: list[str]) -> Iterator[None]:
    """A bare echo in each room, each in a process of its own, as a worker's jobs are."""
    with ExitStack() as until_end:
        for name in names:
            echo = subprocess.Popen([sys.executable, "-m", "load_tests.echo", name])
            until_end.callback(echo.wait)
            until_end.callback(echo.terminate)
        yield


def main(
    rooms: Annotated[int, typer.Option(min=1, help="Callers at the same time.")] = 1,
    seconds: Annotated[float, typer.Option(min=5, help="How long each speaks.")] = 60.0,
    model_delay_ms: Annotated[float, typer.Option(help="The model's own.")] = 1000 * PARROT_DELAY_S,
    baseline: Annotated[bool, typer.Option(help="Measure a bare LiveKit echo as well.")] = False,
    result: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
    livekit_url: Annotated[str | None, typer.Option("--url", help="LiveKit server.")] = None,
    livekit_agent_name: Annotated[str | None, typer.Option("--agent", help="The worker's agent.")] = None,
) -> None:
    """Measure, print, and write what was measured."""
    measured = []
    try:
        settings = LiveKitSettings.load(livekit_url=livekit_url, livekit_agent_name=livekit_agent_name)
        if baseline and not settings.livekit_agent_name:
            raise EngineError(
                "--baseline needs a worker with a LIVEKIT_AGENT_NAME: any other joins the echo as well"
            )
        names = [new_room() for _ in range(rooms)]
        if baseline:
            nameless = settings.model_copy(update={"livekit_agent_name": ""})
            with echoing(names):
                measured.append(asyncio.run(measure("bare echo", nameless, names, seconds, 0.0)))
            names = [new_room() for _ in range(rooms)]
        measured.append(asyncio.run(measure("the service", settings, names, seconds, model_delay_ms / 1000)))
    except* EngineError as errors:
        raise SystemExit(f"error: {errors.exceptions[0]}") from None
    for lags in measured:
        print(lags)
    if result is not None:
        result.write_text(json.dumps([asdict(lags) for lags in measured], indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
