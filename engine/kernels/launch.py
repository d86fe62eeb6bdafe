"""The one place where kernels are launched, so that launches can be recorded instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl
from triton import knobs

# Triton's interpreter multiplies bfloat16 as if it were integers, so there products go through float32.
INTERPRETED = tl.constexpr(bool(knobs.runtime.interpret))

_recording: ContextVar[list["Launch"] | None] = ContextVar("recorded launches", default=None)


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch: `arguments` in the kernel's order, then its compile-time `constants`."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]
    warps: int
    stages: int


def launch(
    kernel: Any, grid: tuple[int, ...], *arguments: Any, warps: int = 4, stages: int = 1, **constants: Any
) -> None:
    """Launches `kernel` with a fixed configuration; nothing is tuned at run time.

    stages: how many tiles a loop loads ahead.
    """
    recording = _recording.get()
    if recording is not None:
        recording.append(Launch(kernel, grid, arguments, constants, warps, stages))
        return
    # Said aloud, for the default is about to change, and with it the last bit of results.
    kernel[grid](*arguments, num_warps=warps, num_stages=stages, enable_fp_fusion=True, **constants)


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Collects launches instead of making them: works on the meta device, where nothing is computed."""
    launches: list[Launch] = []
    token = _recording.set(launches)
    try:
        yield launches
    finally:
        _recording.reset(token)


@triton.jit
def dot(a, b, acc, PRECISION: tl.constexpr):
    """acc + a @ b, summed in float32."""
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, acc, input_precision=PRECISION)
