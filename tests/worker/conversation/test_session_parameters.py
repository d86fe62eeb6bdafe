import json

import pytest

from engine.errors import SessionError
from engine.protocol import SessionRequest
from worker.conversation.session_parameters import (
    first_of,
    from_attributes,
    from_metadata,
    parse,
    to_metadata,
)


def test_what_is_asked_for_arrives_at_the_job() -> None:
    request = parse({"temperature": 0.7, "top_k": 20, "seed": 7, "prompt": "Be “brief”.", "voice": None})
    assert request == SessionRequest(temperature=0.7, top_k=20, seed=7, prompt="Be “brief”.")
    assert from_metadata(to_metadata(request)) == request


@pytest.mark.parametrize(
    "metadata", ["", "no JSON", "[1]", "7", '{"user": 3}', '{"temperature": 9}', "[" * 9999]
)
def test_what_an_app_writes_there_for_itself_is_not_ours(metadata: str) -> None:
    assert from_metadata(metadata) == SessionRequest()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"temperature": "hot"}, "temperature='hot' is not a number from 0 to 10"),
        ({"seed": True}, "seed is bool"),
        ({"seed": 1.5}, "seed='1.5' is not a whole number"),
        ({"voice": ["a"]}, "voice is list"),
        ({"temprature": 1}, "did you mean temperature"),
        ({"seat": "AJ_1"}, "seat is not for callers"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(SessionError, match=named):
        parse(given)
    with pytest.raises(SessionError, match=named):
        from_metadata(json.dumps({"app": "theirs", "moshi": given}))


def test_our_part_of_the_metadata_is_an_object() -> None:
    with pytest.raises(SessionError, match="object of session parameters"):
        from_metadata('{"moshi": "warm"}')


def test_of_a_tokens_attributes_those_are_ours_that_are_called_like_a_parameter() -> None:
    attributes = {"moshi.voice": "ann", "moshi.temperature": "0.5", "moshi.seat": "x", "voice": "b", "a": ""}
    assert from_attributes(attributes) == SessionRequest(voice="ann", temperature=0.5)
    with pytest.raises(SessionError, match="seed='x' is not a whole number"):
        from_attributes({"moshi.seed": "x"})


def test_each_parameter_is_that_of_the_first_who_names_it() -> None:
    first = SessionRequest(voice="ann", temperature=0.0)
    later = SessionRequest(voice="bob", temperature=1.0, seed=3)
    assert first_of(first, SessionRequest(), later) == SessionRequest(voice="ann", temperature=0.0, seed=3)
