"""On what a load test ran, with what, and how to do it again."""

import os
import platform
from dataclasses import dataclass
from typing import Self

import psutil

from engine.bench import origin

_PACKAGES = ("livekit", "livekit-agents", "aiohttp", "numpy")


@dataclass(frozen=True, slots=True)
class Machine:
    """The callers' machine; the service may run elsewhere. `commit` ends in `+` where files differ."""

    processor: str
    cores: int
    memory_mb: int
    load_average: float
    system: str
    python: str
    versions: dict[str, str]
    commit: str | None
    command: str
    date: str

    @classmethod
    def now(cls) -> Self:
        """This one; before the callers call, for its load not to be theirs."""
        return cls(
            processor=origin.processor(),
            cores=psutil.cpu_count() or 1,
            memory_mb=psutil.virtual_memory().total // 2**20,
            load_average=round(os.getloadavg()[0], 2),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            versions=origin.versions(_PACKAGES),
            commit=origin.commit(),
            command=origin.command(),
            date=origin.today(),
        )
