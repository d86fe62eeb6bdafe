"""Memory of the GPU that the engine runs on, as `/metrics` shows it."""

from collections.abc import Callable, Iterator

import torch
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SHOWN = {
    "moshi_gpu_memory_bytes": "Memory of the GPU",
    "moshi_gpu_memory_free_bytes": "Memory of the GPU that no process has",
    "moshi_gpu_memory_reserved_bytes": "Memory of the GPU that this engine has taken",
    "moshi_gpu_memory_used_bytes": "Memory of the GPU in tensors of this engine, of what it has taken",
}

Read = Callable[[], tuple[int, int, int, int]]
"""Bytes, in the order of `SHOWN`."""


class DeviceMemory(Collector):
    """Without a GPU, where `read` is None, there is no value, only the names."""

    def __init__(self, read: Read | None) -> None:
        self._read = read

    @classmethod
    def of(cls, device: torch.device) -> "DeviceMemory":
        """Of this device, read whenever the page is."""
        return cls((lambda: _read(device)) if device.type == "cuda" else None)

    def collect(self) -> Iterator[Metric]:
        """One gauge each."""
        values = self._read() if self._read else ()
        families = [GaugeMetricFamily(name, told) for name, told in SHOWN.items()]
        for family, value in zip(families, values, strict=False):
            family.add_metric([], value)
        yield from families


def _read(device: torch.device) -> tuple[int, int, int, int]:
    free, total = torch.cuda.mem_get_info(device)
    return total, free, torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)


def device_name(device: torch.device) -> str:
    """As its maker calls it, of a GPU; else its kind."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type
