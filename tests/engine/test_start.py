"""What `serve` offers, by a measurement that the tests make up."""

import logging
from collections.abc import Callable

import pytest
import torch

from engine.checkpoint import Model, load
from engine.errors import SettingError
from engine.memory import Room
from engine.models.config import KvPrecision, WeightPrecision
from engine.settings import EngineSettings
from engine.start import Started, start
from engine.step.build import make_runner
from engine.step.eager_runner import EagerRunner

Start = Callable[..., Started]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a tiny model whose step takes `constant_ms` and `each_ms` for each session."""

    def begin(constant_ms: float, each_ms: float, **options: object) -> Started:
        monkeypatch.setattr(
            "engine.start.step_p99_s", lambda _, sessions: (constant_ms + each_ms * sessions) / 1000
        )
        return start(EngineSettings.load(**{"checkpoint": "random:tiny", "device": "cpu", **options}))

    return begin


def test_all_slots_are_offered_where_time_holds_them(started: Start) -> None:
    engine = started(5, 1, slots=12)
    assert engine.seats == 12
    assert engine.times.answer_s(12) == pytest.approx(0.023)


def test_fewer_than_asked_for_are_offered_and_it_is_said(
    started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    assert started(20, 5, slots=12).seats == 5
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "fewer sessions are served in time than there are slots" in line.message
    assert (vars(line)["slots"], vars(line)["seats"], vars(line)["latest_answer_ms"]) == (12, 5, 70.0)


def test_a_device_that_holds_not_one_is_refused_with_the_reason(started: Start) -> None:
    with pytest.raises(SettingError) as error:
        started(36, 2, slots=4)
    assert "its step takes 38.0 ms (99th percentile)" in str(error.value)
    assert "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME=1 starts anyway" in str(error.value)


def test_who_allows_it_gets_every_slot_and_a_warning(
    started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    engine = started(36, 2, slots=4, allow_slower_than_real_time=True)
    assert engine.seats == 4
    assert engine.times.answer_s(4) == pytest.approx(0.082)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "answers will come late: slower than real time, as allowed"
    ]


def test_without_a_gpu_eight_are_tried_or_as_many_as_memory_holds(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(5, 1).seats == 8
    monkeypatch.setattr(Room, "slots", lambda *_: 3)
    assert started(5, 1).seats == 3


def test_what_memory_cannot_hold_is_refused_before_it_is_loaded(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "on", lambda _: Room(free=2**20, beside=0))
    monkeypatch.setattr("engine.start.load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(SettingError, match="not enough memory for random:tiny: weights "):
        started(5, 1, slots=1000)


def test_precisions_and_an_adapter_reach_the_model(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def loading(
        name: str, device: torch.device, dtype: torch.dtype, weights: WeightPrecision, lora: str | None
    ) -> Model:
        asked.extend((weights, lora))
        return load(name, device, dtype, weights)

    def making(model: Model, slots: int, kv: KvPrecision) -> EagerRunner:
        asked.append(kv)
        return make_runner(model, slots, kv)

    monkeypatch.setattr("engine.start.load", loading)
    monkeypatch.setattr("engine.start.make_runner", making)
    assert started(5, 1, slots=2, weights="int8", kv="e4m3", lora="mine").seats == 2
    assert asked == ["int8", "mine", "e4m3"]
