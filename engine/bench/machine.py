"""On what was measured, with what, and how to do it again."""

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import torch

_PACKAGES = ("torch", "triton", "numpy")
_CHECKOUT = Path(__file__).parents[2]


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
        return cls(
            device=name,
            memory_bytes=memory,
            dtype=str(dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            load_average=os.getloadavg()[0],
            python=platform.python_version(),
            versions=_versions(),
            commit=_commit(),
            command=_command(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _command() -> str:
    """How this process was started, but for its interpreter and its environment."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["python", "-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    return shlex.join([*program, *sys.argv[1:]])


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def _commit() -> str | None:
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_CHECKOUT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
