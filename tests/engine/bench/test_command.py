"""A short benchmark from its options to its files, on the real queue, thread and runner."""

import json
from pathlib import Path

import pytest
import torch

from engine.bench.command import run
from engine.bench.options import Options
from engine.errors import SettingError
from engine.memory import Room
from engine.step.capacity import Variant
from engine.step.frames import FRAME_S

CPU = torch.device("cpu")
TINY = Variant("random:tiny", torch.float32)


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.bench.open_loop.WARM_UP_S", FRAME_S)
    monkeypatch.setattr("engine.bench.rates._CPU_BYTES", 2**20)


def test_every_level_is_told_and_written_with_all_its_numbers(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    said: list[str] = []
    run(TINY, CPU, Options((1, 3), ("empty", 20), 10, 4 * FRAME_S, json_file=file), said.append)
    report = json.loads(file.read_text())
    assert "pytest" in report["machine"]["command"]
    assert report["rates"]["read"] > 0
    levels = report["levels"]
    assert [(level["sessions"], level["context"]) for level in levels] == [
        (1, "empty"),
        (1, 20),
        (3, "empty"),
        (3, 20),
    ]
    for level in levels:
        step, loop = level["full"]["step"], level["open_loop"]
        assert step["count"] == 10
        assert 0 < step["p50"] <= step["p95"] <= step["p99"] <= step["max"]
        assert loop["answer"]["count"] == 4 * level["sessions"]
        assert 0 <= loop["missed"] <= loop["missed_worst"] <= 1
        assert level["counts"]["kernels"] > 100
        assert level["floor_ratio"] == pytest.approx(step["p50"] / level["floor_ms"])
        assert level["error"] is None
        assert level["peer_ratio"] is None
    assert levels[1]["read_bytes"] > levels[0]["read_bytes"]
    rows = [text.split()[:2] for text in said[2:]]
    assert rows == [["1", "empty"], ["1", "20"], ["3", "empty"], ["3", "20"]]


def test_a_profile_names_the_ten_costliest_and_leaves_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.bench.counts._PROFILED_STEPS", 2)
    trace = tmp_path / "trace.json"
    said: list[str] = []
    run(TINY, CPU, Options((1,), ("full",), 10, FRAME_S, trace_file=trace, profile=True), said.append)
    assert len(said[-1].splitlines()) == 1 + 10
    assert "aten::" in said[-1]
    assert json.loads(trace.read_text())["traceEvents"]


def test_sessions_beyond_the_memory_are_refused_and_miss_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "slots", lambda *_: 1)
    said: list[str] = []
    file = tmp_path / "bench.json"
    run(TINY, CPU, Options((2,), ("empty",), 10, 2 * FRAME_S, json_file=file), said.append)
    (level,) = json.loads(file.read_text())["levels"]
    assert (level["sessions"], level["seats"]) == (2, 1)
    assert level["open_loop"]["missed"] >= 0.5
    assert not level["solved"]
    assert "1 sessions refused" in said[-1]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("Triton Error [CUDA]: out of memory")]
)
def test_a_level_that_memory_does_not_hold_is_an_error_of_its_own(
    error: RuntimeError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("engine.bench.ladder.make_runner", full)
    said: list[str] = []
    run(TINY, CPU, Options((1,), ("full",), 10, 1.0, json_file=tmp_path / "bench.json"), said.append)
    (level,) = json.loads((tmp_path / "bench.json").read_text())["levels"]
    assert level["error"] == "the device has not enough memory for 1 sessions"
    assert not level["solved"]
    assert "error: the device has not enough memory" in said[-1]


def test_what_is_broken_is_not_taken_for_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("engine.bench.ladder.make_runner", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        run(TINY, CPU, Options((1,), ("full",), 10, 1.0), print)


def test_more_context_than_the_model_sees_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(SettingError, match="--context 5000: this model sees 100 frames"):
        run(TINY, CPU, Options((1,), (5000,), 10, 1.0), print)
