"""`python -m load_tests.sockets.waiting SEATS STEP_MS SOCKET`: an engine whose model only waits.

Says `listening`, a line. When its standard input closes it goes down, and says how much later than asked the
step's thread woke up: a line of JSON, milliseconds.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.service.server import Shutdown, bound, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.state.snapshot import Done, Snapshot
from engine.step.frames import OwnFrame, Sampling
from engine.step.loop import StepOutput
from engine.step.prefix import Prefix
from load_tests.sockets import WAITING


class WaitingRunner:
    """Answers each frame with itself after `step_s`, in which the interpreter is free, as while a GPU works.

    `late_s` holds how much longer each wait took.
    """

    def __init__(self, step_s: float) -> None:
        self.late_s: list[float] = []
        self._step_s = step_s

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Nothing to prepare."""

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        """Nothing to prepare."""

    def snapshot(self, slot: int) -> tuple[Snapshot, Done]:
        """There is no state."""
        return Snapshot(()), lambda: True

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        """There is no state."""
        return lambda: True

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """The same sound."""
        began = time.perf_counter()
        time.sleep(self._step_s)
        self.late_s.append(time.perf_counter() - began - self._step_s)
        codes = np.zeros((len(slots), 8), np.int64)
        return StepOutput(pcm, codes[:, 0], codes, codes)


async def main(seats: int, step_ms: float, socket: Path) -> None:
    """Serve until nobody wants it any more."""
    runner = WaitingRunner(step_ms / 1000)
    # Callers of a load test are one address.
    settings = EngineSettings.load(port=0, host="127.0.0.1", socket=socket, chat_per_address=0)
    model = ServedModel(WAITING, 0, Sampling(), lambda _token: "")
    shutdown = Shutdown()
    # As `serve` does: a collection of everything takes longer than a frame lasts.
    gc.collect()
    gc.freeze()
    with bound(settings) as listening:
        engine = asyncio.create_task(serve(settings, listening, model, runner, seats, shutdown))
        print("listening", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        shutdown.request()
        shutdown.request()
        await engine
    late_ms = 1000 * np.array(runner.late_s or [0.0])
    quantiles = (float(value) for value in np.percentile(late_ms, (50, 99, 100)))
    print(json.dumps(dict(zip(("p50", "p99", "worst"), quantiles, strict=True))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
