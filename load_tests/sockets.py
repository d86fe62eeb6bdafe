"""`python -m load_tests.sockets --sessions N`: what N sessions on `/v1/session` cost the engine's host.

This process is the engine, with a model that only waits, as the host does for a GPU; who speaks to it is
another process. What is measured is this one's share of a core.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from engine.service.server import Shutdown, bound, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.step.frames import Sampling
from engine.step.loop import StepOutput

WARM_UP_S = 1.0


class WaitingRunner:
    """Answers each frame with itself after `step_s`, in which the interpreter is free, as while a GPU works.

    `late_s` holds how much longer each wait took.
    """

    def __init__(self, step_s: float) -> None:
        self.late_s: list[float] = []
        self._step_s = step_s

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Nothing to prepare."""

    def prefill(self, slot: int, sampling: Sampling, prefix: NDArray[np.int64], positions: range) -> None:
        """Nothing to prepare."""

    def step(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> StepOutput:
        began = time.perf_counter()
        time.sleep(self._step_s)
        self.late_s.append(time.perf_counter() - began - self._step_s)
        codes = np.zeros((len(slots), 8), np.int64)
        return StepOutput(pcm, codes[:, 0], codes, codes)


@dataclass(frozen=True, slots=True)
class Cost:
    """Share of one core that the engine's process takes, answers as its clients saw them, and how late the
    step's thread woke up.
    """

    sessions: int
    chunk_ms: float
    step_ms: float
    seconds: float
    core_share: float
    frames_sent: int
    frames_answered: int
    answer_p50_ms: float
    answer_p99_ms: float
    wake_up_p50_ms: float
    wake_up_p99_ms: float
    wake_up_max_ms: float

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions in chunks of {self.chunk_ms:g} ms, a step of {self.step_ms:g} ms: "
            f"{100 * self.core_share:.1f} % of a core; {self.frames_answered} of {self.frames_sent} frames "
            f"answered, after p50 {self.answer_p50_ms:.1f} p99 {self.answer_p99_ms:.1f} ms; the step's thread"
            f" woke up p50 {self.wake_up_p50_ms:.2f} p99 {self.wake_up_p99_ms:.2f} "
            f"max {self.wake_up_max_ms:.2f} ms late"
        )


async def measure(sessions: int, seconds: float, chunk_ms: float, step_ms: float) -> Cost:
    """An engine and its sessions, for `seconds` after a warm-up."""
    runner = WaitingRunner(step_ms / 1000)
    model = ServedModel("waiting", 0, Sampling(), lambda _token: "")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "engine.sock"
        settings = EngineSettings.load(socket=path, port=0)
        shutdown = Shutdown()
        with bound(settings) as listening:
            engine = asyncio.create_task(serve(settings, listening, model, runner, sessions, shutdown))
            try:
                return await _measure(runner, path, sessions, seconds, chunk_ms, step_ms)
            finally:
                shutdown.request()
                shutdown.request()
                await engine


async def _measure(
    runner: WaitingRunner, path: Path, sessions: int, seconds: float, chunk_ms: float, step_ms: float
) -> Cost:
    spoken_s = WARM_UP_S + seconds + WARM_UP_S
    arguments = (f"unix:{path}", str(sessions), str(spoken_s), str(chunk_ms))
    speakers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "load_tests.speakers", *arguments, stdout=PIPE
    )
    assert speakers.stdout is not None
    if await speakers.stdout.readline() != b"speaking\n":
        raise SystemExit("error: the sessions could not be opened")
    await asyncio.sleep(WARM_UP_S)
    began, cpu_before, steps_before = time.monotonic(), time.process_time(), len(runner.late_s)
    await asyncio.sleep(seconds)
    cpu_s, wall_s = time.process_time() - cpu_before, time.monotonic() - began
    late_ms = 1000 * np.array(runner.late_s[steps_before:])
    heard = json.loads(await speakers.stdout.readline())
    await speakers.wait()
    p50, p99, most = (float(value) for value in np.percentile(late_ms, (50, 99, 100)))
    return Cost(
        sessions=sessions,
        chunk_ms=chunk_ms,
        step_ms=step_ms,
        seconds=seconds,
        core_share=cpu_s / wall_s,
        frames_sent=heard["sent"],
        frames_answered=heard["answered"],
        answer_p50_ms=heard["p50_ms"],
        answer_p99_ms=heard["p99_ms"],
        wake_up_p50_ms=p50,
        wake_up_p99_ms=p99,
        wake_up_max_ms=most,
    )


def main(
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at the same time.")] = 80,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long is measured.")] = 20.0,
    chunk_ms: Annotated[float, typer.Option(min=5, max=80, help="Sound in one message.")] = 80.0,
    step_ms: Annotated[float, typer.Option(min=0, help="How long a step waits.")] = 12.0,
    result: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Measure, print, and write what was measured."""
    cost = asyncio.run(measure(sessions, seconds, chunk_ms, step_ms))
    print(cost)
    if result is not None:
        result.write_text(json.dumps(asdict(cost), indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
