"""On what was measured, with what, and how to do it again."""

import os
import platform
from dataclasses import dataclass
from typing import Self

import torch

from engine.bench import origin

_PACKAGES = ("torch", "triton", "numpy")


@dataclass(frozen=True, slots=True)
class Machine:
    """`commit` is None outside of a checkout, and ends in `+` where files differ from it."""

    device: str
    memory_bytes: int | None
    dtype: str
    threads: int
    load_average: float
    python: str
    versions: dict[str, str]
    commit: str | None
    command: str
    date: str

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype) -> Self:
        """This one, now."""
        name, memory = f"{platform.machine()} {device.type.upper()}", None
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            name, memory = properties.name, properties.total_memory
        versions = origin.versions(_PACKAGES)
        if torch.version.cuda:
            versions["cuda"] = torch.version.cuda
        return cls(
            device=name,
            memory_bytes=memory,
            dtype=str(dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            load_average=os.getloadavg()[0],
            python=platform.python_version(),
            versions=versions,
            commit=origin.commit(),
            command=origin.command(),
            date=origin.today(),
        )
