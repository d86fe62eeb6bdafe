"""A short benchmark from its options to its files, on the real queue, thread and runner."""

import json
from pathlib import Path

import pytest
import torch

from engine.bench.command import run
from engine.bench.options import Options
from engine.errors import SettingError
from engine.memory import Room
from engine.step.capacity import Beside, Variant
from engine.step.frames import FRAME_S

CPU = torch.device("cpu")
TINY = Variant("random:tiny", torch.float32)
STT = Variant("random:tiny-stt", torch.float32)


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


def test_a_model_of_speech_to_text_is_measured_alone_and_beside_every_level(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    said: list[str] = []
    options = Options((2,), ("empty",), 10, 4 * FRAME_S, json_file=file)
    run(TINY, CPU, options, said.append, Beside(STT, 3))
    report = json.loads(file.read_text())
    assert report["second"]["checkpoint"] == "random:tiny-stt"
    alone = report["second"]["alone"]
    assert (alone["sessions"], alone["context"], alone["full"]["step"]["count"]) == (3, "full", 10)
    assert alone["open_loop"]["answer"]["count"] == 12
    assert alone["floor_ms"] > 0
    (level,) = report["levels"]
    assert [level[whose]["answer"]["count"] for whose in ("open_loop", "beside")] == [8, 12]
    assert said[2] == "random:tiny-stt alone"
    assert said[4] == "random:tiny beside 3 sessions of it"
    (row,) = said[5:]
    assert [line.split()[:2] for line in row.splitlines()] == [["2", "empty"], ["beside", "|"]]


def test_a_model_that_only_listens_has_levels_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    run(STT, CPU, Options((2,), ("full",), 10, 2 * FRAME_S, json_file=file), lambda _: None)
    (level,) = json.loads(file.read_text())["levels"]
    assert level["error"] is None
    assert level["open_loop"]["answer"]["count"] == 4


def test_a_peer_is_not_asked_for_what_it_does_not_time() -> None:
    with pytest.raises(SettingError, match="--peer times models that speak, which random:tiny-stt does not"):
        run(STT, CPU, Options((1,), ("full",), 10, 1.0, peer=True), print)


@pytest.mark.parametrize("second", [None, Beside(STT, 1000)], ids=["first", "second"])
def test_what_memory_cannot_hold_is_refused_before_it_is_loaded(
    second: Beside | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "on", lambda _: Room(free=2**10, beside=0))
    for load in ("engine.memory.load", "engine.bench.command.load"):
        monkeypatch.setattr(load, lambda *_: pytest.fail("was loaded"))
    named = (second.variant if second else TINY).checkpoint
    with pytest.raises(SettingError, match=f"not enough memory for {named}: weights"):
        run(TINY, CPU, Options((1,), ("full",), 10, 1.0), print, second)
