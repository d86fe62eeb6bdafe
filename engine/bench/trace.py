"""A few steps as torch's profiler sees them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from engine.device import wait


class Event(NamedTuple):
    """Something that took `micros` from `start` on, in the order of a thread (on a device: of a stream).

    kind: `kernel` on the device, `cuda_runtime` or `cuda_driver` for the host's calls, `cpu_op` for
    operators.
    """

    name: str
    kind: str
    thread: str
    start: float
    micros: float


def record(
    step: Callable[[], object], device: torch.device, steps: int, file: Path | None = None
) -> list[Event]:
    """The events of `steps` calls; `file` is written for Perfetto.

    Read from the file that torch writes: its own summary takes a minute for the steps of a small model.
    """
    # It would tell on stderr when it begins, when it ends, and that it found no GPU.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    # Where graphs are replayed, a profiler that is taken down and set up again can crash or see nothing.
    os.environ.setdefault("TEARDOWN_CUPTI", "0")
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    step()
    with profile(activities=activities) as recorded:
        for _ in range(steps):
            step()
        wait(device)
    with TemporaryDirectory() as folder:
        path = file or Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        entries = json.loads(path.read_text())["traceEvents"]
    return [
        Event(entry["name"], entry["cat"], f"{entry['pid']} {entry['tid']}", entry["ts"], entry["dur"])
        for entry in entries
        if entry["ph"] == "X" and "cat" in entry
    ]


def without_inner(events: list[Event]) -> list[Event]:
    """The events, each without the time of those within it on its thread."""
    own = {id(event): event.micros for event in events}
    around: list[Event] = []
    for event in sorted(events, key=lambda event: (event.thread, event.start, -event.micros)):
        while around and (
            around[-1].thread != event.thread or event.start >= around[-1].start + around[-1].micros
        ):
            around.pop()
        if around:
            own[id(around[-1])] -= event.micros
        around.append(event)
    return [event._replace(micros=own[id(event)]) for event in events]
