"""What `serve` offers with a second model on the device, by measurements that the tests make up."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import CheckpointError, SettingError
from engine.memory import Room
from engine.parrot import CHECKPOINT
from engine.settings import EngineSettings
from engine.start import Started, start

Start = Callable[..., Started]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts tiny models: a step takes 10 ms and 5 for each conversation, that of transcriptions `stt_ms`."""

    def begin(stt_ms: float, **options: object) -> Started:
        monkeypatch.setattr("engine.start.step_p99_s", lambda _, sessions: (10 + 5 * sessions) / 1000)
        monkeypatch.setattr("engine.start_stt.step_p99_s", lambda _, sessions: stt_ms / 1000)
        given = {
            "checkpoint": "random:tiny",
            "stt_checkpoint": "random:tiny-stt",
            "device": "cpu",
            "slots": 9,
        }
        return start(EngineSettings.load(**given | options))

    return begin


def test_calls_are_offered_that_are_in_time_with_a_step_of_transcriptions_in_between(started: Start) -> None:
    with_both, alone = started(15), started(15, stt_checkpoint=None)
    assert alone.stt is None
    # 10 + 5 n, and 15 for one, and 15 for the others, and 10 to spare, are up to 80.
    assert (alone.seats, with_both.seats) == (9, 6)
    assert with_both.times.answer_s(6) == pytest.approx(0.070)
    assert with_both.stt is not None
    assert (with_both.stt.sessions, with_both.stt.model.name) == (8, "random:tiny-stt")


def test_transcriptions_that_leave_no_time_for_a_call_are_named(started: Start) -> None:
    with pytest.raises(SettingError, match=r"41\.0 ms of transcriptions \(--stt-sessions\)"):
        started(41)
    assert started(41, allow_slower_than_real_time=True).seats == 9


def test_what_memory_cannot_hold_is_refused_before_it_is_loaded(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "on", lambda _: Room(free=2**20, beside=0))
    monkeypatch.setattr("engine.start_stt.load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(SettingError, match=r"(?s)not enough memory for random:tiny-stt: .* --stt-sessions"):
        started(1, stt_sessions=1000)


def test_a_model_that_speaks_transcribes_nothing(started: Start) -> None:
    with pytest.raises(CheckpointError, match="this model speaks"):
        started(1, stt_checkpoint="parrot")


def test_a_model_that_only_listens_answers_no_calls(started: Start) -> None:
    with pytest.raises(CheckpointError, match="this model only listens"):
        started(1, checkpoint="random:tiny-stt", stt_checkpoint=None)


def test_a_folder_that_is_none_is_named(started: Start, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["stt_config"] = {"audio_delay_second": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="stt_config: key 'audio_delay_seconds' is missing"):
        started(1, checkpoint=str(tmp_path), stt_checkpoint=None)
