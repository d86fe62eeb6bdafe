import pytest

from engine.errors import SessionError
from engine.protocol import SessionRequest
from engine.service.chat_query import ChatRequest

# As the web client sends it.
WEB = {
    "worker_auth_id": "x",
    "email": "a@b.example",
    "text_temperature": "0.7",
    "text_topk": "25",
    "audio_temperature": "0.8",
    "audio_topk": "250",
    "pad_mult": "0",
    "text_seed": "5",
    "audio_seed": "7",
    "repetition_penalty_context": "64",
    "repetition_penalty": "1",
}


def asked(**query: str) -> SessionRequest:
    return ChatRequest.from_query(query).session


def test_the_web_clients_query_is_understood() -> None:
    request = ChatRequest.from_query(WEB)
    assert request.session == SessionRequest(0.8, 250, 0.7, 25, seed=7 * 31 + 5)
    assert (request.plain, request.wants_metadata) == (False, True)


def test_no_query_leaves_all_to_the_engine() -> None:
    assert ChatRequest.from_query({}) == ChatRequest(SessionRequest(), plain=False, wants_metadata=False)


def test_values_out_of_range_are_clamped() -> None:
    request = asked(audio_temperature="-1", text_temperature="1e9", audio_topk="0", text_topk="12.0")
    assert (request.temperature, request.temperature_text, request.top_k, request.top_k_text) == (
        0,
        10,
        1,
        12,
    )


@pytest.mark.parametrize("value", ["hot", "nan", "inf", "1,5"])
def test_what_is_no_number_is_an_error_that_names_it(value: str) -> None:
    with pytest.raises(SessionError, match=f"audio_temperature='{value}' is not a number"):
        asked(audio_temperature=value)


@pytest.mark.parametrize(
    ("query", "seed"),
    [
        ({"seed": "9"}, 9),
        ({"text_seed": "9"}, 9),
        ({"seed": "-1"}, None),
        ({"seed": str(1 << 40)}, 0),
        ({"audio_seed": "1", "text_seed": "2"}, 33),
        ({"audio_seed": "2", "text_seed": "1"}, 63),
    ],
)
def test_seeds_become_one(query: dict[str, str], seed: int | None) -> None:
    assert asked(**query).seed == seed


def test_personaplexs_names_are_voice_and_prompt() -> None:
    request = asked(voice_prompt="NATF2.pt", text_prompt="You are a pirate.")
    assert (request.voice, request.prompt) == ("NATF2", "You are a pirate.")
    assert asked(voice_prompt="", text_prompt="") == SessionRequest()


def test_a_format_that_is_none_is_an_error_that_names_the_one() -> None:
    assert ChatRequest.from_query({"format": "pcm_f32le"}).plain
    with pytest.raises(SessionError, match="format='mp3': leave it out for Ogg-Opus, or ask for pcm_f32le"):
        ChatRequest.from_query({"format": "mp3"})
