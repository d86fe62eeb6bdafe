"""How fast this device's memory is, measured beside what is compared with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from engine.device import release, wait

# So many that launching and waiting, about 20 µs, do not count.
_GPU_BYTES = 16 * 2**30
_CPU_BYTES = 2**28
_TIMES = 10


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second that a reduction reads, and that a copy reads and writes together.

    `over_bytes` were read each time: on a CPU fewer than on a GPU, but more than caches hold.
    """

    read: float
    copy: float
    over_bytes: int


def measure_rates(device: torch.device) -> Rates:
    """By torch's own sum and copy, the median of ten each."""
    rates = _rates(device)
    release(device)
    return rates


def _rates(device: torch.device) -> Rates:
    size = _CPU_BYTES if device.type == "cpu" else _GPU_BYTES
    memory = _as_much_as_fits(size, device)
    half = memory.numel() // 2
    source, target = memory[:half], memory[half : 2 * half]
    read = memory.nbytes / _median_s(memory.sum, device)
    copy = 2 * source.nbytes / _median_s(lambda: target.copy_(source), device)
    return Rates(read, copy, memory.nbytes)


def _as_much_as_fits(size: int, device: torch.device) -> torch.Tensor:
    try:
        return torch.ones(size // 4, device=device)
    except torch.OutOfMemoryError:
        return _as_much_as_fits(size // 2, device)


def _median_s(work: Callable[[], object], device: torch.device) -> float:
    took = []
    for _ in range(1 + _TIMES):
        began = time.perf_counter()
        work()
        wait(device)
        took.append(time.perf_counter() - began)
    return float(np.median(took[1:]))
