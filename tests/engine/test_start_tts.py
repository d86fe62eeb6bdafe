"""What `serve` offers with text to speech on the same device, by measurements that the tests make up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import CheckpointError, SettingError
from engine.memory import Room
from engine.settings import EngineSettings
from engine.start import Started, start
from engine.start_tts import start_tts

Start = Callable[..., Started]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts tiny models: a step takes 10 ms and 5 for each conversation, that of speech `tts_ms`."""

    def begin(tts_ms: float, **options: object) -> Started:
        monkeypatch.setattr("engine.start.step_p99_s", lambda _, sessions: (10 + 5 * sessions) / 1000)
        monkeypatch.setattr("engine.start_stt.step_p99_s", lambda _, sessions: 5 / 1000)
        monkeypatch.setattr("engine.start_tts._step_p99_s", lambda *_: tts_ms / 1000)
        given = {
            "checkpoint": "random:tiny",
            "tts_checkpoint": "random:tiny-tts",
            "device": "cpu",
            "slots": 9,
        }
        return start(EngineSettings.load(**given | options))

    return begin


def test_calls_are_offered_that_are_in_time_with_a_step_of_each_other_model_in_between(
    started: Start,
) -> None:
    alone, with_speech = started(15, tts_checkpoint=None), started(15)
    with_both = started(15, stt_checkpoint="random:tiny-stt")
    assert alone.tts is None
    # 10 + 5 n, and 15 for one, and what lies between, and 10 to spare, are up to 80.
    assert (alone.seats, with_speech.seats, with_both.seats) == (9, 6, 5)
    assert with_speech.tts is not None
    assert (with_speech.tts.sessions, with_speech.tts.model.name) == (4, "random:tiny-tts")


def test_what_leaves_no_time_for_a_call_is_named(started: Start) -> None:
    said = r"5\.0 ms of transcriptions \(--stt-sessions\), 36\.0 ms of speech \(--tts-sessions\)"
    with pytest.raises(SettingError, match=said):
        started(36, stt_checkpoint="random:tiny-stt")


def test_what_memory_cannot_hold_is_refused_before_it_is_loaded(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "on", lambda _: Room(free=2**20, beside=0))
    monkeypatch.setattr("engine.start_tts.load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(SettingError, match=r"(?s)not enough memory for random:tiny-tts: .* --tts-sessions"):
        started(1, tts_sessions=1000)


def test_voices_are_the_files_of_the_folder(started: Start, tmp_path: Path) -> None:
    (tmp_path / "kyutai").mkdir()
    for name in ("kyutai/bob.wav", "ann"):
        save_file({"speaker_wavs": torch.zeros(1, 16, 20)}, tmp_path / f"{name}.safetensors")
    told = started(1, tts_voices=tmp_path).tts
    assert told is not None
    assert list(told.voices) == ["ann", "kyutai/bob.wav"]
    with pytest.raises(SettingError, match="no such folder"):
        started(1, tts_voices=tmp_path / "nowhere")
    save_file({"else": torch.zeros(1)}, tmp_path / "eve.safetensors")
    with pytest.raises(SettingError, match=r"eve\.safetensors: no voice for text to speech"):
        started(1, tts_voices=tmp_path)


def test_voices_without_a_model_are_a_mistake(started: Start, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="ENGINE_TTS_VOICES is for a model of text to speech"):
        started(1, tts_checkpoint=None, tts_voices=tmp_path)


@pytest.mark.parametrize("other", ["parrot", "random:tiny-stt"])
def test_a_model_of_another_kind_reads_nothing_aloud(started: Start, other: str) -> None:
    with pytest.raises(CheckpointError, match="does not read aloud"):
        started(1, tts_checkpoint=other)


def test_a_model_that_reads_aloud_answers_no_calls(started: Start) -> None:
    with pytest.raises(CheckpointError, match="this model hears 0 codebooks"):
        started(1, checkpoint="random:tiny-tts", tts_checkpoint=None)


def test_a_step_of_all_voices_with_full_contexts_is_measured() -> None:
    told = start_tts("random:tiny-tts", 2, None, torch.device("cpu"), torch.float32)
    assert told.step_s > 0
    assert (told.runner.slots, told.voices) == (2, {})
