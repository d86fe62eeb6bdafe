"""What a step launches on a GPU and what its kernels take of one, found out without one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from engine.bench.counts import Operators
from engine.errors import SettingError
from engine.kernels.compile import Compiled, compile_launches
from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import INTERPRETED, Launch, recorded_launches
from engine.step.capacity import Variant
from engine.step.cuda_graph import Work
from engine.step.graph_runner import GraphRunner
from engine.step.moshi_step import MoshiStep

_HOPPER = 90


@dataclass(frozen=True, slots=True)
class Recording:
    """One step of `batch` sessions: launches of our kernels, and how often each operator of torch runs."""

    batch: int
    launches: Sequence[Launch]
    operators: Counter[str]


def record(variant: Variant, batch: int) -> Recording:
    """What the graph of a step holds, from the meta device, which knows shapes and computes nothing.

    Raises `CheckpointError`.
    """
    recorder = _Recorder()
    GraphRunner(MoshiStep(*variant.models(), batch, variant.kv), torch.device("meta"), recorder)
    return Recording(batch, recorder.launches, recorder.operators)


def report(variant: Variant, batches: Sequence[int], capability: int = _HOPPER) -> Iterator[str]:
    """Lines for a terminal: for each batch size what is launched, and every form of a kernel compiled for one
    architecture of GPUs.

    Raises `CheckpointError`, `SettingError`, and whatever Triton raises for a kernel that does not compile.
    """
    if INTERPRETED.value:
        raise SettingError("Triton's interpreter compiles nothing: unset TRITON_INTERPRET")
    for batch in batches:
        recording = record(variant, batch)
        yield (
            f"{variant.checkpoint}, a step of {batch}: {len(recording.launches)} launches of kernels and "
            f"{recording.operators.total()} operators of torch"
        )
        yield "  " + ", ".join(f"{name} {count}" for name, count in recording.operators.most_common())
        forms = compile_launches(recording.launches, capability)
        yield f"{'launches':>8} {'registers':>9} {'spilled':>8} {'shared':>7}  kernel"
        yield from (_line(form) for form in sorted(forms, key=lambda form: -form.launches))


def _line(form: Compiled) -> str:
    constants = " ".join(f"{name}={value}" for name, value in form.constants.items())
    return (
        f"{form.launches:8} {form.registers:9} {form.spilled:8} {form.shared:7}  "
        f"{form.name.removeprefix('_')} {constants}"
    )


class _Recorder:
    """`Graphs` that keep what the first of them would replay, which is the largest."""

    def __init__(self) -> None:
        self.launches: Sequence[Launch] = ()
        self.operators: Counter[str] = Counter()

    def capture(self, work: Work) -> Work:
        if not self.launches:
            with kernels_everywhere(), recorded_launches() as self.launches, Operators(self.operators):
                work()
        return work

    def wait(self) -> None:
        pass
