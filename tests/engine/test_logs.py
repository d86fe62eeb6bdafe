import json
import logging

from engine.logs import JsonFormatter, PlainFormatter


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("worker.room.call", logging.INFO, __file__, 1, message, (), None)
    vars(made).update(fields)
    return made


def test_a_line_for_machines_is_json_with_its_fields() -> None:
    line = json.loads(JsonFormatter().format(record("call ended", call="AJ_1", frames=12)))
    assert line.items() >= {"level": "info", "message": "call ended", "call": "AJ_1", "frames": 12}.items()
    assert line["time"].endswith("+00:00")


def test_a_line_for_people_ends_in_its_fields() -> None:
    line = PlainFormatter().format(record("call ended", call="AJ_1", frames=12))
    assert line.endswith("INFO worker.room.call: call ended call=AJ_1 frames=12")
    assert PlainFormatter().format(record("ready")).endswith("INFO worker.room.call: ready")


def test_a_failure_brings_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = record("a call failed")
        made.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: broken" in json.loads(JsonFormatter().format(made))["exception"]
    made.exc_text = "ValueError: written down before"
    assert json.loads(JsonFormatter().format(made))["exception"] == made.exc_text
