"""What a CUDA graph may hold: only what happens on the device, with no word from the host."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import recorded_launches
from engine.models.config import KvPrecision, WeightPrecision
from engine.step.capacity import Variant
from engine.step.cuda_graph import Work
from engine.step.graph_runner import GraphRunner
from engine.step.moshi_step import MoshiStep
from engine.step.stt_runner import SttGraphRunner
from engine.step.stt_step import SttStep

NOWHERE = torch.device("meta")


class OnlyOnTheDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses every tensor of the host. One of the meta device has no contents that could be waited for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        assert all(tensor.device == NOWHERE for tensor in tensors), func.name()
        return result


class CheckedGraphs:
    """Runs what would be captured, once."""

    def __init__(self) -> None:
        self.captured = 0

    def capture(self, work: Work) -> Work:
        with kernels_everywhere(), recorded_launches(), OnlyOnTheDevice():  # type: ignore[no-untyped-call]
            work()
        self.captured += 1
        return work

    def wait(self) -> None:
        pass


@pytest.mark.parametrize(
    ("weights", "kv"), [("exact", "exact"), ("int8", "int8"), ("fp8", "e4m3"), ("int8", "e4m3")]
)
def test_steps_and_primings_of_every_batch_size_never_wait_for_the_host(
    weights: WeightPrecision, kv: KvPrecision
) -> None:
    variant = Variant("random:tiny", torch.bfloat16, weights, kv)
    graphs = CheckedGraphs()
    GraphRunner(MoshiStep(*variant.models(), 20, kv), NOWHERE, graphs)
    assert graphs.captured == 7 + 4 + 4


def test_steps_that_only_listen_never_wait_for_the_host_either() -> None:
    graphs = CheckedGraphs()
    SttGraphRunner(SttStep(*Variant("random:tiny-stt", torch.bfloat16).models(), 20), NOWHERE, graphs)
    assert graphs.captured == 7 + 4
