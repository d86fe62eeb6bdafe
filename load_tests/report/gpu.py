"""How busy the GPU of this machine is, from `nvidia-smi` where there is one."""

import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from load_tests.measured import GpuMeasured

_FIELDS = "name,utilization.gpu,memory.used"
_STOP_S = 5.0


class GpuWatch:
    """While the block runs, `nvidia-smi` reports once a second. `measured` is None where there is no GPU.

    Of several GPUs, the one that was busiest: an engine uses one.
    """

    def __init__(self) -> None:
        self.measured: GpuMeasured | None = None
        self._program = shutil.which("nvidia-smi")
        self._running: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        if self._program is not None:
            command = [
                self._program,
                f"--query-gpu=index,{_FIELDS}",
                "--format=csv,noheader,nounits",
                "-l",
                "1",
            ]
            self._running = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is None:
            return
        self._running.terminate()
        try:
            said, _ = self._running.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._running.kill()
            said, _ = self._running.communicate()
        self.measured = busiest(said.splitlines())


def busiest(lines: Sequence[str]) -> GpuMeasured | None:
    """The GPU that was busiest in lines of `index, name, percent, MiB`. Others are passed over."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for line in lines:
        words = [word.strip() for word in line.split(",")]
        try:
            index, name, busy, used = words
            sample = float(busy), float(used)
        except ValueError:
            continue
        found.setdefault((index, name), []).append(sample)
    measured = [
        GpuMeasured(
            name=name,
            busy_percent_mean=sum(busy for busy, _ in samples) / len(samples),
            busy_percent_max=max(busy for busy, _ in samples),
            memory_mb_max=max(used for _, used in samples),
        )
        for (_, name), samples in found.items()
    ]
    return max(measured, key=lambda gpu: gpu.busy_percent_mean, default=None)
