"""How long a step takes: all sessions due at once, one step after the other (closed loop)."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from engine.checkpoint import Model
from engine.errors import SettingError
from engine.step.eager_runner import EagerRunner
from engine.step.frames import FRAME_SAMPLES, Sampling
from engine.step.moshi_step import MoshiStep

_WARM_UP_STEPS = 20


@dataclass(frozen=True, slots=True)
class Level:
    """Milliseconds a step at one number of sessions, and CPU milliseconds of this process a step."""

    sessions: int
    steps: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The levels, and on what they were measured."""

    checkpoint: str
    device: str
    dtype: str
    torch: str
    threads: int
    load_average: float
    levels: tuple[Level, ...]

    def table(self) -> str:
        """The report for a terminal."""
        lines = [
            f"{self.checkpoint} on {self.device}, {self.dtype}, torch {self.torch}, "
            f"{self.threads} thread(s), load average {self.load_average:.1f}",
            f"{'sessions':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8} {'CPU ms':>8}",
        ]
        lines += [
            f"{level.sessions:8} {level.p50_ms:8.1f} {level.p95_ms:8.1f} {level.p99_ms:8.1f} "
            f"{level.max_ms:8.1f} {level.cpu_ms:8.1f}"
            for level in self.levels
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)


def parse_sessions(text: str) -> list[int]:
    """`1,8,32` as numbers. Raises SettingError."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise SettingError(f"--sessions {text}: give numbers of sessions separated by commas, such as 1,8,32")
    return counts


def time_steps(model: Model, counts: Sequence[int], steps: int) -> Report:
    """Time `steps` steps at each number of sessions, after a warm-up, on noise at the level of speech."""
    device = model.lm.device
    levels = tuple(_time_level(model, count, steps) for count in counts)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return Report(
        checkpoint=model.name,
        device=name,
        dtype=str(model.lm.dtype).removeprefix("torch."),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        load_average=os.getloadavg()[0],
        levels=levels,
    )


def _time_level(model: Model, sessions: int, steps: int) -> Level:
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, sessions), model.lm.device)
    runner.join({slot: Sampling(seed=slot) for slot in range(sessions)})
    slots = list(range(sessions))
    noise = np.random.default_rng(0).normal(0, 2000, (sessions, FRAME_SAMPLES)).astype(np.int16)
    for _ in range(_WARM_UP_STEPS):
        runner.step(slots, noise)
    wall: list[float] = []
    cpu_before = time.process_time()
    for _ in range(steps):
        began = time.perf_counter()
        runner.step(slots, noise)
        wall.append(1000 * (time.perf_counter() - began))
    cpu_ms = 1000 * (time.process_time() - cpu_before) / steps
    p50, p95, p99 = (float(value) for value in np.percentile(wall, (50, 95, 99)))
    return Level(sessions, steps, p50, p95, p99, max(wall), cpu_ms)
