"""Which of the three modes a room gets."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from engine.errors import SessionError, SettingError
from engine.protocol import ModelCard
from worker.conversation import session_parameters
from worker.hybrid import stack
from worker.modes import Mode, mode_in
from worker.plugin.speech_to_text import MoshiSTT
from worker.plugin.text_to_speech import MoshiTTS
from worker.settings import WorkerSettings

DEAF = ModelCard("parrot", 0)
MODELS: dict[str, Any] = {
    "worker_llm_url": "http://127.0.0.1:11434/v1",
    "worker_llm_model": "llama3.2",
    "worker_stt_url": "http://127.0.0.1:8000/v1",
    "worker_tts_url": "http://127.0.0.1:8880/v1",
}


@pytest.mark.parametrize("mode", Mode)
def test_a_dispatch_chooses_the_mode_of_its_room_and_the_setting_that_of_all_others(mode: Mode) -> None:
    metadata = json.dumps({"moshi": {"mode": mode, "temperature": 0.7}})
    assert mode_in(metadata, Mode.MOSHI) is mode
    assert session_parameters.from_metadata(metadata).temperature == 0.7
    for nothing in ("", "{}", "[]", "null", '{"moshi": {}}', '{"moshi": 1}', "an app's own"):
        assert mode_in(nothing, mode) is mode


def test_a_mode_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    with pytest.raises(SessionError, match=r"mode is 'loud': expected moshi, hybrid, pipeline"):
        mode_in('{"moshi": {"mode": "loud"}}', Mode.MOSHI)


@pytest.mark.parametrize("mode", [Mode.HYBRID, Mode.PIPELINE])
def test_a_mode_with_an_llm_says_what_is_missing_for_it(mode: Mode) -> None:
    with pytest.raises(SettingError, match="needs WORKER_LLM_URL, WORKER_LLM_MODEL, WORKER_STT_URL, WORK"):
        stack.check(WorkerSettings(), mode, DEAF)
    stack.check(WorkerSettings(**MODELS), mode, DEAF)
    stack.check(WorkerSettings(), Mode.MOSHI, DEAF)


@pytest.mark.parametrize(
    ("setting", "engine_with_it"),
    [("stt", replace(DEAF, transcribes="stt-1b-en_fr")), ("tts", replace(DEAF, speaks="tts-1.6b-en_fr"))],
)
def test_what_the_engine_has_of_it_need_not_be_elsewhere(setting: str, engine_with_it: ModelCard) -> None:
    without = WorkerSettings(**{**MODELS, f"worker_{setting}_url": None})
    stack.check(without, Mode.HYBRID, engine_with_it)
    for engine in (DEAF, None):
        with pytest.raises(SettingError, match=f"mode pipeline needs WORKER_{setting.upper()}_URL: see"):
            stack.check(without, Mode.PIPELINE, engine)


@pytest.mark.parametrize("mode", [Mode.MOSHI, Mode.HYBRID])
def test_only_a_pipeline_needs_no_engine(mode: Mode) -> None:
    stack.check(WorkerSettings(**MODELS), Mode.PIPELINE, None)
    with pytest.raises(SettingError, match=f"mode {mode} needs an engine, and there is none: set ENGINE_URL"):
        stack.check(WorkerSettings(**MODELS), mode, None)


def test_no_engine_is_started_where_nobody_who_answers_needs_one() -> None:
    assert WorkerSettings(worker_mode=Mode.PIPELINE).has_no_engine
    assert not WorkerSettings(worker_mode=Mode.PIPELINE, engine_url="ws://127.0.0.1:8998").has_no_engine
    assert not WorkerSettings(worker_mode=Mode.HYBRID).has_no_engine


def test_no_sound_is_kept_of_an_llms_answers_and_nobody_believes_that_it_is() -> None:
    with pytest.raises(SettingError, match="WORKER_RECORDINGS: no sound is kept of calls of mode hybrid"):
        stack.check(WorkerSettings(**MODELS, worker_recordings=Path("kept")), Mode.HYBRID, DEAF)


def test_what_takes_long_to_import_is_imported_only_where_it_is_used() -> None:
    assert stack.modules(WorkerSettings()) == []
    assert stack.modules(WorkerSettings(**MODELS)) == ["livekit.plugins.openai"]
    with_tools = WorkerSettings(**MODELS, worker_mcp_servers="http://a.example/mcp")
    assert len(stack.modules(with_tools)) == 2
    for name in stack.modules(with_tools):
        importlib.import_module(name)


async def test_the_session_has_the_models_of_the_settings() -> None:
    session = stack.open_session(WorkerSettings(**MODELS, worker_llm_key=SecretStr("a secret")))
    assert session.llm is not None
    assert session.llm.model == "llama3.2"
    await session.aclose()


async def test_without_their_addresses_recogniser_and_voice_are_the_engines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_URL", "ws://127.0.0.1:8998")
    own = {"worker_stt_url": None, "worker_tts_url": None, "worker_tts_voice": "ann"}
    session = stack.open_session(WorkerSettings(**{**MODELS, **own}))
    assert isinstance(session.stt, MoshiSTT)
    assert isinstance(session.tts, MoshiTTS)
    assert session.tts.request.voice == "ann"
    await session.aclose()


def test_tools_are_on_the_mcp_servers_that_are_named() -> None:
    settings = WorkerSettings(worker_mcp_servers="http://a.example/mcp, http://b.example/mcp,")
    assert settings.mcp_addresses == ["http://a.example/mcp", "http://b.example/mcp"]
