"""What fits where: sizes of a model in every precision, and sessions on this device and on common ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from engine.bench.floor import step_bytes
from engine.models.config import KvPrecision, WeightPrecision
from engine.step.capacity import DRIVER_BYTES, GRAPH_BYTES, MOST_SLOTS, SLACK_BYTES, Variant, as_text
from engine.step.frames import FRAME_S
from engine.step.measure import MARGIN_S

_GIB = 2**30
_GB = 10**9
_DTYPE = torch.bfloat16
_SHOWN: tuple[Literal["exact", "int8"], ...] = ("exact", "int8")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device: memory in GiB as its driver reports it, bandwidth in GB/s by its data sheet, if known."""

    name: str
    memory_gib: float
    bandwidth: float | None = None

    def fitting(self, variant: Variant) -> int:
        """Sessions that memory holds."""
        taken = DRIVER_BYTES + GRAPH_BYTES + SLACK_BYTES
        return variant.sizes().slots_in(round(self.memory_gib * _GIB) - taken)

    def readable(self, variant: Variant) -> int:
        """Sessions that could be served in time if a step did nothing but read memory, at this bandwidth."""
        if self.bandwidth is None:
            return MOST_SLOTS
        mimi, lm = variant.models()
        positions = lm.config.transformer.context
        none, one = (step_bytes(mimi, lm, variant.kv, sessions, positions) for sessions in (0, 1))
        readable = self.bandwidth * _GB * (FRAME_S - MARGIN_S)
        # A step with all and a step with one.
        return max(0, int((readable - none - one) // (one - none)))


COMMON = (
    Gpu("L4", 22.5, 300),
    Gpu("RTX 4090", 24.0, 1008),
    Gpu("RTX 5090", 31.8, 1792),
    Gpu("L40S", 45.0, 864),
    Gpu("A100 80 GB", 80.0, 2039),
    Gpu("H100 80 GB", 79.6, 3350),
    Gpu("H200", 140.4, 4800),
    Gpu("B200", 179.1, 8000),
)


def plan(
    checkpoint: str, weights: WeightPrecision | None, kv: KvPrecision | None, gpus: Sequence[Gpu]
) -> Iterator[str]:
    """The lines of a page for a terminal; a precision that is None is shown exact and in int8.

    Raises `CheckpointError`.
    """
    variants = [
        Variant(checkpoint, _DTYPE, of_weights, of_kv)
        for of_weights in ((weights,) if weights else _SHOWN)
        for of_kv in ((kv,) if kv else _SHOWN)
    ]
    yield from _sizes(checkpoint)
    yield ""
    yield from _sessions(variants, gpus)


def this_gpu() -> Iterator[Gpu]:
    """The CUDA device of this machine, if there is one."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        yield Gpu(f"this {properties.name}", properties.total_memory / _GIB)


def _sizes(checkpoint: str) -> Iterator[str]:
    """What weights and sessions take in each precision."""
    exact = Variant(checkpoint, _DTYPE).sizes()
    lm = {w: Variant(checkpoint, _DTYPE, w).sizes().lm for w in get_args(WeightPrecision)}
    kv = {k: Variant(checkpoint, _DTYPE, kv=k).sizes().kv for k in get_args(KvPrecision)}
    yield f"{checkpoint}, exact is {_DTYPE}".replace("torch.", "")
    for what, sizes in (
        ("language model", _by_precision(lm)),
        ("Mimi", as_text(exact.mimi)),
        ("a session's keys and values", _by_precision(kv)),
        ("all else of a session", as_text(exact.rest)),
        ("graphs, about", as_text(GRAPH_BYTES)),
        ("driver and workspaces, about", as_text(DRIVER_BYTES + SLACK_BYTES)),
    ):
        yield f"  {what:30}{sizes}"


def _by_precision(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {as_text(size)}" for name, size in sizes.items())


def _sessions(variants: Sequence[Variant], gpus: Sequence[Gpu]) -> Iterator[str]:
    """How many fit, for each GPU and variant."""
    yield "sessions at the same time, by weights / keys and values"
    titles = (f"{variant.weights} / {variant.kv}" for variant in variants)
    yield f"  {'':22}{'GiB':>6}" + "".join(f"{title:>16}" for title in titles)
    late = False
    for gpu in gpus:
        cells = []
        for variant in variants:
            fitting, readable = gpu.fitting(variant), gpu.readable(variant)
            late |= readable < fitting
            cells.append(f"{min(fitting, readable):15}{'*' if readable < fitting else ' '}")
        yield f"  {gpu.name:22}{gpu.memory_gib:6.1f}" + "".join(cells).rstrip()
    if late:
        yield "* memory holds more, but is too slow to read for them in time, even at its data sheet's rate"
    yield "Real steps take longer than reading: `serve` measures them and offers what holds."
