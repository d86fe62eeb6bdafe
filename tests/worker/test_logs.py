import logging
from typing import cast

import pytest
from livekit import rtc

from engine.logs import LogFormat
from tests.worker.fakes import FakePerson, FakeRoom
from worker import logs


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("livekit.agents", logging.INFO, __file__, 1, message, (), None)
    vars(made).update(fields)
    return made


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_nobody_is_named_and_the_sdks_noise_is_dropped(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    logs.set_up(log_format)
    root = logging.getLogger()
    root.handle(record("received job request", room="ada-and-bob", participant="ada", job_id="AJ_1"))
    root.handle(record("livekit_ffi::server:279 - Attempted to drop unknown FFI handle: 18"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "AJ_1" in line
    assert "ada" not in line


def test_a_jobs_log_names_neither_the_room_nor_anybody_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    room = FakeRoom(FakePerson("ada", name="Ada L.", attributes={"sip.phoneNumber": "5551234567"}))
    logs.hide_names_in(cast(rtc.Room, room))
    room.enter(FakePerson("bob"))
    logging.getLogger("livekit").warning("ada (Ada L.), bob and 5551234567 are in the lobby")
    assert "[hidden] ([hidden]), [hidden] and [hidden] are in the [hidden]" in capsys.readouterr().err
