"""How many kernels a step runs, how often the host launches something for it, and what costs the most."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.bench.results import Cost, Counts
from engine.bench.trace import Event, record, without_inner

_LAUNCHES = ("cudaLaunch", "cudaGraphLaunch", "cuLaunch", "cudaMemcpy", "cudaMemset", "cudaEventRecord")
_COMPUTE_NOTHING = (
    "aten::empty",
    "aten::new_empty",
    "aten::_unsafe_view",
    "aten::detach",
    "aten::_reshape_alias",
)
_COUNTED_STEPS = 3
_PROFILED_STEPS = 10
_COSTLIEST = 10


def count(step: Callable[[], object], device: torch.device) -> Counts:
    """Of one call of `step`."""
    if device.type != "cuda":
        operators: Counter[str] = Counter()
        with Operators(operators):
            step()
        return Counts(None, float(operators.total()))
    return counts_of(record(step, device, _COUNTED_STEPS), _COUNTED_STEPS)


def counts_of(events: Iterable[Event], steps: int) -> Counts:
    """From what a profiler saw of `steps` steps on a GPU."""
    launches = kernels = 0
    for event in events:
        kernels += event.kind == "kernel"
        launches += event.kind.startswith("cuda_") and event.name.startswith(_LAUNCHES)
    return Counts(launches / steps, kernels / steps)


def costliest(step: Callable[[], object], device: torch.device, trace: Path | None) -> tuple[Cost, ...]:
    """The ten kernels (operators, without a GPU) that take most of `step`; `trace` is a file for Perfetto."""
    kind = "kernel" if device.type == "cuda" else "cpu_op"
    events = [event for event in record(step, device, _PROFILED_STEPS, trace) if event.kind == kind]
    times: dict[str, list[float]] = {}
    for event in without_inner(events):
        times.setdefault(event.name, []).append(event.micros)
    total = sum(map(sum, times.values())) or 1.0
    costs = [
        Cost(name, len(micros) / _PROFILED_STEPS, sum(micros) / 1000 / _PROFILED_STEPS, sum(micros) / total)
        for name, micros in times.items()
    ]
    return tuple(sorted(costs, key=lambda cost: -cost.ms)[:_COSTLIEST])


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types a part of itself
    """Adds to `counts`, by name, the operators of torch that compute or move something."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name: str = func.name()
        if not func.is_view and not name.startswith(_COMPUTE_NOTHING):
            self._counts[name.removeprefix("aten::").split(".")[0]] += 1
        return func(*args, **(kwargs or {}))
