import json
import logging

from worker.logs import JsonFormatter, PlainFormatter, is_news


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("worker.call", logging.INFO, __file__, 1, message, (), None)
    vars(made).update(fields)
    return made


def test_a_line_for_machines_is_json_with_its_fields() -> None:
    line = json.loads(JsonFormatter().format(record("call ended", call="AJ_1", frames=12)))
    assert line.items() >= {"level": "info", "message": "call ended", "call": "AJ_1", "frames": 12}.items()
    assert line["time"].endswith("+00:00")


def test_a_line_for_people_ends_in_its_fields() -> None:
    formatter = PlainFormatter("%(levelname)s %(message)s")
    assert (
        formatter.format(record("call ended", call="AJ_1", frames=12))
        == "INFO call ended call=AJ_1 frames=12"
    )
    assert formatter.format(record("ready")) == "INFO ready"


def test_nobody_is_named() -> None:
    personal = record("received job request", room="ada-and-bob", participant="ada", job_id="AJ_1")
    for formatter in (JsonFormatter(), PlainFormatter("%(message)s")):
        line = formatter.format(personal)
        assert "ada" not in line
        assert "AJ_1" in line


def test_what_the_sdk_says_at_every_end_is_no_news() -> None:
    assert not is_news(record("livekit_ffi::server:279 - Attempted to drop unknown FFI handle: 18"))
    assert is_news(record("call ended"))


def test_a_failure_brings_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = record("a call failed")
        made.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: broken" in json.loads(JsonFormatter().format(made))["exception"]
