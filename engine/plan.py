"""What fits where: sizes of a model in every precision, and sessions on this device and on common ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch

from engine.bench.floor import step_bytes
from engine.checkpoint.locate_lora import locate_lora
from engine.models.config import KvPrecision, WeightPrecision
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.capacity import DRIVER_BYTES, GRAPH_BYTES, MOST_SLOTS, SLACK_BYTES, Beside, Variant, as_text
from engine.step.frames import FRAME_S
from engine.step.measure import MARGIN_S
from engine.step.stt_step import SttStep
from engine.step.tts_step import TtsStep

_GIB = 2**30
_GB = 10**9
DTYPE = torch.bfloat16
"""What is planned for: every GPU of these computes in it."""
_SHOWN: tuple[Literal["exact", "int8"], ...] = ("exact", "int8")


SPEECH_TO_TEXT, TEXT_TO_SPEECH = "speech to text", "text to speech"
_STEPS: Mapping[str, Callable[[Mimi, LM], object]] = {
    SPEECH_TO_TEXT: partial(SttStep, slots=1),
    TEXT_TO_SPEECH: partial(TtsStep, slots=1, delay=0),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device: memory in GiB as its driver reports it, bandwidth in GB/s by its data sheet, if known."""

    name: str
    memory_gib: float
    bandwidth: float | None = None

    def fitting(self, variant: Variant, beside: Sequence[Beside] = ()) -> int:
        """Sessions that memory holds, with the models `beside` them loaded first."""
        taken = DRIVER_BYTES + GRAPH_BYTES + SLACK_BYTES + sum(GRAPH_BYTES + each.taken for each in beside)
        return variant.sizes().slots_in(round(self.memory_gib * _GIB) - taken)

    def readable(self, variant: Variant, beside: Sequence[Beside] = ()) -> int:
        """Sessions that could be served in time if a step did nothing but read memory, at this bandwidth.

        Between two of its steps comes one of each model `beside` it, with all of its sessions.
        """
        if self.bandwidth is None:
            return MOST_SLOTS
        none, one = (_step_bytes(variant, sessions) for sessions in (0, 1))
        readable = self.bandwidth * _GB * (FRAME_S - MARGIN_S)
        readable -= sum(_step_bytes(each.variant, each.sessions) for each in beside)
        # A step with all and a step with one.
        return max(0, int((readable - none - one) // (one - none)))


def _step_bytes(variant: Variant, sessions: int) -> int:
    """Of a step of so many sessions in calls so long that their contexts are full."""
    mimi, lm = variant.models()
    return step_bytes(mimi, lm, variant.kv, sessions, lm.config.transformer.context)


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
    checkpoint: str,
    weights: WeightPrecision | None,
    kv: KvPrecision | None,
    gpus: Sequence[Gpu],
    beside: Mapping[str, Beside] | None = None,
    lora: str | None = None,
) -> Iterator[str]:
    """The lines of a page for a terminal; a precision that is None is shown exact and in int8.

    beside: the models that `serve` is given as well, by what they do (`SPEECH_TO_TEXT`, `TEXT_TO_SPEECH`);
    lora: an adapter. Raises `CheckpointError`, for models that do something else as well.
    """
    beside = beside or {}
    for what, each in beside.items():
        _STEPS[what](*each.variant.models())
    variants = [
        Variant(checkpoint, DTYPE, of_weights, of_kv)
        for of_weights in ((weights,) if weights else _SHOWN)
        for of_kv in ((kv,) if kv else _SHOWN)
    ]
    yield from _sizes(checkpoint)
    if lora is not None:
        size = as_text(locate_lora(lora).path.stat().st_size)
        yield f"  {'adapter':30}fused into the language model: {size} of a file, and no memory"
    for what, each in beside.items():
        yield from _sizes_beside(what, each)
    yield ""
    yield from _sessions(variants, gpus, tuple(beside.values()))


def this_gpu() -> Iterator[Gpu]:
    """The CUDA device of this machine, if there is one."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        yield Gpu(f"this {properties.name}", properties.total_memory / _GIB)


def _sizes(checkpoint: str) -> Iterator[str]:
    """What weights and sessions take in each precision."""
    exact = Variant(checkpoint, DTYPE).sizes()
    lm = {w: Variant(checkpoint, DTYPE, w).sizes().lm for w in get_args(WeightPrecision)}
    kv = {k: Variant(checkpoint, DTYPE, kv=k).sizes().kv for k in get_args(KvPrecision)}
    yield f"{checkpoint}, exact is {DTYPE}".replace("torch.", "")
    for what, sizes in (
        ("language model", _by_precision(lm)),
        ("Mimi", as_text(exact.mimi)),
        ("a session's keys and values", _by_precision(kv)),
        ("all else of a session", as_text(exact.rest)),
        ("graphs, about", as_text(GRAPH_BYTES)),
        ("driver and workspaces, about", as_text(DRIVER_BYTES + SLACK_BYTES)),
    ):
        yield f"  {what:30}{sizes}"


def _sizes_beside(what: str, beside: Beside) -> Iterator[str]:
    """What another model takes for all of its sessions."""
    sizes = beside.variant.sizes()
    yield f"{beside.variant.checkpoint} beside it, {what}"
    for part, size in (
        ("its models", as_text(sizes.weights)),
        ("one of its sessions", as_text(sizes.slot)),
        (f"with {beside.sessions}, about", as_text(beside.taken + GRAPH_BYTES)),
    ):
        yield f"  {part:30}{size}"


def _by_precision(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {as_text(size)}" for name, size in sizes.items())


def _sessions(variants: Sequence[Variant], gpus: Sequence[Gpu], beside: Sequence[Beside]) -> Iterator[str]:
    """How many fit, for each GPU and variant."""
    yield f"{'conversations' if beside else 'sessions'} at the same time, by weights / keys and values"
    titles = (f"{variant.weights} / {variant.kv}" for variant in variants)
    yield f"  {'':22}{'GiB':>6}" + "".join(f"{title:>16}" for title in titles)
    late = False
    for gpu in gpus:
        cells = []
        for variant in variants:
            fitting, readable = gpu.fitting(variant, beside), gpu.readable(variant, beside)
            late |= readable < fitting
            cells.append(f"{min(fitting, readable):15}{'*' if readable < fitting else ' '}")
        yield f"  {gpu.name:22}{gpu.memory_gib:6.1f}" + "".join(cells).rstrip()
    if late:
        yield "* memory holds more, but is too slow to read for them in time, even at its data sheet's rate"
    yield "Real steps take longer than reading: `serve` measures them and offers what holds."
