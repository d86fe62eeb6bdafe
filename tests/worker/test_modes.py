"""Which of the three modes a room gets."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from engine.errors import SessionError, SettingError
from worker.conversation import session_parameters
from worker.hybrid import stack
from worker.modes import Mode, mode_in
from worker.settings import WorkerSettings

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
        stack.check(WorkerSettings(), mode)
    stack.check(WorkerSettings(**MODELS), mode)
    stack.check(WorkerSettings(), Mode.MOSHI)


def test_nothing_is_kept_of_an_llms_answers_and_nobody_believes_that_it_is() -> None:
    with pytest.raises(SettingError, match="WORKER_RECORDINGS: nothing is kept of calls of mode hybrid"):
        stack.check(WorkerSettings(**MODELS, worker_recordings=Path("kept")), Mode.HYBRID)


async def test_the_session_has_the_models_of_the_settings() -> None:
    session = stack.open_session(WorkerSettings(**MODELS, worker_llm_key=SecretStr("a secret")))
    assert session.llm is not None
    assert session.llm.model == "llama3.2"
    await session.aclose()


def test_tools_are_on_the_mcp_servers_that_are_named() -> None:
    settings = WorkerSettings(worker_mcp_servers="http://a.example/mcp, http://b.example/mcp,")
    assert settings.mcp_addresses == ["http://a.example/mcp", "http://b.example/mcp"]
