import json
from pathlib import Path

import pytest
import torch

from engine.bench.counts import costliest, count, counts_of
from engine.bench.trace import Event, without_inner

CPU = torch.device("cpu")


def test_operators_that_compute_are_counted_and_views_are_not() -> None:
    x = torch.ones(4, 4)
    found = count(lambda: x.T[1:].add(1).relu_(), CPU)
    assert (found.host_launches, found.kernels) == (None, 2)


def test_a_profile_tells_launches_of_the_host_from_kernels_of_the_device() -> None:
    seen = [
        ("cudaMemcpyAsync", "cuda_runtime"),
        ("cudaGraphLaunch", "cuda_runtime"),
        ("cudaEventRecord", "cuda_runtime"),
        ("cudaEventSynchronize", "cuda_runtime"),
        ("cuLaunchKernelEx", "cuda_driver"),
        ("aten::add", "cpu_op"),
        ("Memcpy HtoD (Pinned -> Device)", "gpu_memcpy"),
        ("ring_attention", "kernel"),
        ("few_rows", "kernel"),
    ]
    events = [Event(name, kind, "1", 0.0, 1.0) for name, kind in seen]
    found = counts_of(2 * events, steps=2)
    assert (found.host_launches, found.kernels) == (4, 2)


def test_time_within_an_event_belongs_to_what_is_within() -> None:
    outer = Event("outer", "cpu_op", "1", 0.0, 10.0)
    events = [
        outer,
        Event("inner", "cpu_op", "1", 2.0, 5.0),
        Event("innermost", "cpu_op", "1", 3.0, 1.0),
        Event("second", "cpu_op", "1", 8.0, 2.0),
        Event("after", "cpu_op", "1", 10.0, 4.0),
        Event("elsewhere", "cpu_op", "2", 1.0, 3.0),
    ]
    own = {event.name: event.micros for event in without_inner(events)}
    assert own == {"outer": 3, "inner": 4, "innermost": 1, "second": 2, "after": 4, "elsewhere": 3}


def test_the_costliest_operators_are_named_and_traced(tmp_path: Path) -> None:
    x = torch.ones(256, 256)
    trace = tmp_path / "trace.json"
    found = costliest(lambda: (x @ x).relu(), CPU, trace)
    assert {"aten::mm", "aten::relu"} <= {cost.name for cost in found}
    assert found[0].share == max(cost.share for cost in found)
    assert next(cost for cost in found if cost.name == "aten::mm").calls == pytest.approx(1)
    assert any(event.get("name") == "aten::mm" for event in json.loads(trace.read_text())["traceEvents"])
