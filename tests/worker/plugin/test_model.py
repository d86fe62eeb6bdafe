"""What somebody gives a MoshiDuplexModel, and what is wrong with it."""

from typing import Any

import pytest

from engine.errors import SessionError, SettingError
from worker.plugin import MoshiDuplexModel
from worker.plugin.gate import MarkGate

ENGINE = "ws://127.0.0.1:8998"


def test_the_engine_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_URL", ENGINE)
    assert MoshiDuplexModel().model == "moshi"


def test_without_an_engine_it_says_what_to_do() -> None:
    with pytest.raises(SettingError, match="give engine_url, or set ENGINE_URL"):
        MoshiDuplexModel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"top_k": "many"}, "top_k"),
        ({"voice": True}, "voice is bool"),
    ],
)
def test_a_parameter_out_of_its_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SessionError, match=message):
        MoshiDuplexModel(engine_url=ENGINE, **options)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8998", "127.0.0.1:8998", "unix:"])
def test_what_is_no_address_of_an_engine_is_named(url: str) -> None:
    with pytest.raises(SettingError, match="is not an address"):
        MoshiDuplexModel(engine_url=url)


def test_the_token_is_in_no_text_of_the_model() -> None:
    assert "s3cret" not in repr(vars(MoshiDuplexModel(engine_url=ENGINE, engine_token="s3cret")))


def test_its_gate_reads_the_marks_of_its_sessions() -> None:
    assert isinstance(MoshiDuplexModel(engine_url=ENGINE).audio_gate(), MarkGate)


def test_the_framework_is_told_that_nothing_can_be_changed_under_way() -> None:
    can = MoshiDuplexModel(engine_url=ENGINE).capabilities
    assert not any((can.mutable_chat_context, can.mutable_instructions, can.mutable_tools))
    assert not can.user_transcription
