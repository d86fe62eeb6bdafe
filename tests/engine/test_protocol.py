import json
import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.admin_protocol import Claim, Orphan, parse_orphan
from engine.errors import (
    AlreadyClaimed,
    EngineDraining,
    EngineError,
    EngineFull,
    ForbiddenOrigin,
    SessionError,
    SessionGone,
    SnapshotError,
    TooManySessions,
    Unauthorized,
    error_from_wire,
)
from engine.protocol import (
    Audio,
    End,
    Ended,
    Failure,
    ModelCard,
    OwnWords,
    Pause,
    Ready,
    Report,
    SessionRequest,
    Text,
    parse_client_message,
    parse_engine_message,
)
from engine.step.frames import Sampling

u32 = st.integers(0, 2**32 - 1)


@given(u32, u32, u32, st.binary(min_size=3840, max_size=3840))
def test_an_audio_message_survives_the_wire(frame: int, queue_us: int, step_us: int, pcm: bytes) -> None:
    audio = Audio(frame, queue_us, step_us, pcm)
    assert Audio.from_wire(audio.to_wire()) == audio


def test_an_audio_message_is_the_documented_bytes() -> None:
    message = Audio(7, 1500, 9000, b"\x01\x02" * 1920).to_wire()
    assert message == struct.pack("<IIII", 7, 1500, 9000, 0) + b"\x01\x02" * 1920


def test_an_audio_message_of_another_length_is_refused() -> None:
    with pytest.raises(SessionError, match="3856 bytes, not 3855"):
        Audio.from_wire(b"\0" * 3855)


@given(u32, u32, u32, u32)
def test_a_report_survives_the_wire(frame: int, worker_us: int, playout_us: int, jitter_us: int) -> None:
    report = Report(frame, worker_us, playout_us, jitter_us)
    assert parse_client_message(report.to_wire()) == report


def test_a_report_tells_what_went_wrong_with_the_sound() -> None:
    report = Report(1, 2, 3, 4, underruns=5, late_frames=6, silent_frames=7, concealed_us=8)
    assert parse_client_message(report.to_wire()) == report
    assert parse_client_message('{"type": "report", "frame": 1, "worker_us": 2, "playout_us": 3}') == Report(
        1, 2, 3
    )


def test_a_jitter_buffer_that_nobody_has_asked_yet_is_none() -> None:
    report = Report(1, 2, 3)
    assert parse_client_message(report.to_wire()) == report
    assert parse_client_message('{"type": "report", "frame": 1, "worker_us": 2, "playout_us": 3}') == report


def test_hanging_up_is_one_short_message() -> None:
    assert json.loads(End().to_wire()) == {"type": "end"}
    assert parse_client_message('{"type": "end"}') == End()


def test_so_is_a_pause() -> None:
    assert json.loads(Pause().to_wire()) == {"type": "pause"}
    assert parse_client_message('{"type": "pause"}') == Pause()


@given(st.binary(min_size=3840, max_size=3840), st.text(max_size=1000))
def test_own_words_survive_the_wire(sound: bytes, text: str) -> None:
    words = OwnWords(sound, text)
    assert parse_client_message(words.to_wire()) == words


def test_own_words_need_no_text() -> None:
    sound = b64encode(b"\x01\x02" * 1920).decode()
    message = json.dumps({"type": "own_words", "sound": sound})
    assert parse_client_message(message) == OwnWords(b"\x01\x02" * 1920)


SILENCE = b64encode(bytes(3840)).decode()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "fields sound, text"),
        ({"sound": SILENCE, "volume": 1}, "fields sound, text"),
        ({"sound": 7}, "3840 bytes, in base64"),
        ({"sound": "?" * 5120}, "3840 bytes, in base64"),
        ({"sound": b64encode(bytes(3841)).decode()}, "3840 bytes, in base64"),
        ({"sound": "\ud800"}, "3840 bytes, in base64"),
        ({"sound": SILENCE, "text": None}, "at most 1000 characters"),
        ({"sound": SILENCE, "text": "a" * 1001}, "at most 1000 characters"),
    ],
)
def test_own_words_that_are_none_say_what_was_expected(fields: dict[str, object], says: str) -> None:
    with pytest.raises(SessionError, match=says):
        parse_client_message(json.dumps({"type": "own_words"} | fields))


def test_an_older_engine_takes_no_own_words() -> None:
    ready = json.loads(Ready("ab12", "parrot", 5, 80, own_words=True).to_wire())
    del ready["own_words"]
    assert parse_engine_message(json.dumps(ready)) == Ready("ab12", "parrot", 5, 80, own_words=False)
    card = {"model": "parrot", "model_delay_ms": 80, "settings": []}
    assert not ModelCard.from_wire(card).own_words
    assert ModelCard.from_wire(card | {"own_words": True}).own_words


def test_an_orphan_survives_the_wire_and_later_versions() -> None:
    orphan = Orphan("ab12", "lobby", "ann", "AJ_1", 14.2)
    assert parse_orphan(orphan.to_wire()) == orphan
    assert parse_orphan(json.dumps({**json.loads(orphan.to_wire()), "since": 1})) == orphan
    with pytest.raises(SessionError):
        parse_orphan('{"type": "orphan", "session": "ab12"}')


def test_a_claim_survives_the_wire() -> None:
    claim = Claim("ab12", "token", 15.0)
    assert Claim.from_wire(claim.to_wire()) == claim


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=512), st.text(min_size=1, max_size=9))
def test_whose_a_session_is_travels_as_headers_whatever_the_names(room: str, seat: str) -> None:
    request = SessionRequest(seed=1, seat=seat, room=room, identity="ann")
    assert "Moshi-Room" not in request.to_query()
    assert all(header.isascii() and header.isprintable() for header in request.to_headers().values())
    assert SessionRequest.from_wire(request.to_query(), request.to_headers()) == request


def test_nobodys_session_has_no_headers() -> None:
    assert SessionRequest(seed=1).to_headers() == {}
    assert SessionRequest.from_wire({"seed": "1"}, {"Host": "engine"}) == SessionRequest(seed=1)


@pytest.mark.parametrize("name", ["room", "identity"])
def test_no_query_says_whose_a_session_is(name: str) -> None:
    with pytest.raises(SessionError, match="no session parameter"):
        SessionRequest.from_query({name: "x"})


@pytest.mark.parametrize(
    "event",
    [Ready("ab12", "parrot", 5, 80), Text(3, " hear"), Failure("bad_session", "too fast"), Ended("hang_up")],
)
def test_every_event_survives_the_wire(event: Ready | Text | Failure | Ended) -> None:
    assert parse_engine_message(event.to_wire()) == event


def test_ready_says_what_a_client_needs() -> None:
    assert json.loads(Ready("ab12", "parrot", 5, 80).to_wire()) == {
        "type": "ready",
        "session": "ab12",
        "model": "parrot",
        "seed": 5,
        "model_delay_ms": 80,
        "sample_rate": 24000,
        "frame_samples": 1920,
        "resume": "",
        "grace_s": 0.0,
        "frame": 0,
        "own_words": False,
    }


def test_an_event_of_a_later_version_keeps_what_is_known() -> None:
    assert parse_engine_message('{"type": "ended", "reason": "drain", "after_s": 3}') == Ended("drain")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("hello", "JSON object"),
        ("[1]", "JSON object"),
        ("[" * 100_000, "JSON object"),
        ('{"type": "stop"}', "end, pause, report, own_words"),
        ('{"type": ["end"]}', "end, pause, report, own_words"),
        ('{"type": "end", "now": 1}', "fields type alone"),
        ('{"type": "report", "frame": 1}', "worker_us, playout_us, jitter_us"),
        (
            '{"type": "report", "frame": -1, "worker_us": 0, "playout_us": 0, "jitter_us": 0}',
            "report.frame is -1",
        ),
        (
            '{"type": "report", "frame": 1.5, "worker_us": 0, "playout_us": 0, "jitter_us": 0}',
            "report.frame is 1.5",
        ),
    ],
)
def test_a_message_that_is_none_says_what_was_expected(message: str, says: str) -> None:
    with pytest.raises(SessionError, match=says.replace(".", r"\.")):
        parse_client_message(message)


def test_a_query_names_only_what_the_caller_wants_otherwise() -> None:
    request = SessionRequest.from_query({"temperature": "0", "seed": "7", "seat": "job-1"})
    assert request == SessionRequest(temperature=0.0, seed=7, seat="job-1")
    assert request.to_query() == {"temperature": "0.0", "seed": "7", "seat": "job-1"}
    assert request.sampling(Sampling(top_k=99, seed=1)) == Sampling(temperature=0.0, top_k=99, seed=7)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"temprature": "1"}, "did you mean temperature?"),
        ({"volume": "1"}, "known: temperature, top_k"),
        ({"temperature": "hot"}, "temperature='hot' is not a number from 0 to 10"),
        ({"temperature": "nan"}, "temperature='nan' is not a number"),
        ({"temperature": "-0.1"}, "from 0 to 10"),
        ({"top_k": "0"}, "top_k='0' is not a whole number from 1"),
        ({"top_k": "2.5"}, "whole number"),
        ({"seed": "4294967296"}, "seed='4294967296'"),
    ],
)
def test_a_bad_parameter_is_named_with_what_it_takes(query: dict[str, str], says: str) -> None:
    with pytest.raises(SessionError) as error:
        SessionRequest.from_query(query)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "error",
    [
        EngineFull(40, 38, 2),
        EngineDraining(),
        TooManySessions(),
        Unauthorized("no token"),
        ForbiddenOrigin("that page"),
        SessionError("too fast"),
        SessionGone("too late"),
        AlreadyClaimed("too late as well"),
        SnapshotError("of another model"),
        EngineError("boom"),
    ],
)
def test_an_error_survives_the_wire(error: EngineError) -> None:
    back = error_from_wire(error.to_wire())
    assert (type(back), str(back)) == (type(error), str(error))


def test_a_full_engine_answers_with_the_documented_body() -> None:
    assert EngineFull(40, 38, 2).to_wire() == {
        "error": "engine_full",
        "seats": 40,
        "in_calls": 38,
        "reserved": 2,
        "retry_after_s": 3,
    }
