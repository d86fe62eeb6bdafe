"""Nothing private gets into a log line, whoever writes it."""

import io
import logging
from collections.abc import Iterator

import pytest
from livekit.agents.cli.log import JsonFormatter as TheirFormatter
from livekit.protocol.models import ParticipantInfo

from engine.logs import JsonFormatter, PlainFormatter
from worker.private import Discreet

NUMBER = "+15551234567"
ROOM = f"call-_{NUMBER}_Xy7"
IDENTITY = f"sip_{NUMBER}"
SECRET = "a secret that opens every room"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@pytest.fixture
def discreet(monkeypatch: pytest.MonkeyPatch) -> Discreet:
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    return Discreet()


@pytest.fixture(params=[PlainFormatter, JsonFormatter, TheirFormatter])
def log(request: pytest.FixtureRequest, discreet: Discreet) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of anybody's, and what has been written by it: in our two formats and in LiveKit's."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(request.param())
    handler.addFilter(discreet)
    logger = logging.getLogger("somebody's")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)


def fails(sentence: str) -> None:
    raise RuntimeError(sentence)


def test_a_telephone_caller_is_named_nowhere(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.info("received job request", extra={"room": ROOM, "job_id": "AJ_1", "participant": IDENTITY})
    logger.info("no track of %s in %s", IDENTITY, ROOM, extra={"job": {"room": {"name": ROOM}}})
    logger.warning("dialing sip:%s@example.com or tel:%s", NUMBER, NUMBER, extra={"error": OSError(IDENTITY)})
    logger.error("they dialled +1 (555) 123-4567")
    try:
        fails(f"room {ROOM} does not exist")
    except RuntimeError:
        logger.exception("failed")
    event = ParticipantInfo(identity="x", name="Ada Lovelace", attributes={"sip.phoneNumber": "5551234567"})
    logger.error("error running user callback for %s: %s", "participant_connected", event)
    text = written.getvalue()
    assert "AJ_1" in text
    assert "RuntimeError" in text
    assert "ParticipantInfo" in text
    for private in ("5551234567", "(555)", "123-4567", "Lovelace", "example.com"):
        assert private not in text


def test_secrets_and_tokens_stay_secret(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.error("no answer from ws://host/rtc?access_token=abc.def&sdk=python", extra={"key": SECRET})
    logger.error("GET /v1/session Authorization: Bearer 1234567890abcdef; token=%s", TOKEN)
    text = written.getvalue()
    assert "sdk=python" in text
    for private in ("abc.def", SECRET, "1234567890abcdef", TOKEN, "c2lnbmF0dXJl"):
        assert private not in text


@pytest.mark.parametrize(
    "name",
    [
        *("LIVEKIT_API_SECRET", "ENGINE_TOKEN", "WORKER_CALL_SECRET", "WORKER_SIP_INBOUND_PASSWORD"),
        *("WORKER_SIP_OUTBOUND_PASSWORD", "WORKER_LLM_KEY", "WORKER_STT_KEY", "WORKER_TTS_KEY"),
    ],
)
def test_every_secret_among_the_settings_is_hidden(
    discreet: Discreet, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "sk-of-some-provider")
    assert discreet.conceal("401 for sk-of-some-provider") == "401 for [hidden]"


def test_names_that_are_known_are_hidden_as_whole_words(
    log: tuple[logging.Logger, io.StringIO], discreet: Discreet
) -> None:
    logger, written = log
    discreet.names.update(("ada", "ada and bob"))
    logger.info("ada has left ada and bob's room", extra={"detail": "for canada"})
    assert "[hidden] has left [hidden]'s room" in written.getvalue()
    assert "canada" in written.getvalue()


def test_what_is_not_private_stays_as_it_is(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.info("call ended", extra={"call": "AJ_abc123", "frames": 1234567890, "left_out_ms": 12345678})
    logger.info("at %s on %s", "2026-11-23T15:49:56.123", "ws://127.0.0.1:7880")
    text = written.getvalue()
    for kept in ("AJ_abc123", "1234567890", "12345678", "2026-11-23T15:49:56.123", "ws://127.0.0.1:7880"):
        assert kept in text
