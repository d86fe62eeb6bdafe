import logging
from collections.abc import Callable, Iterator
from typing import cast

import aiohttp
import pytest
from livekit import rtc

from engine.logs import LogFormat, log_to_stderr
from tests.worker.fakes import FakePerson, FakeRoom
from worker import logs
from worker.watching.readiness import Readiness, answering


@pytest.fixture(autouse=True)
def _levels_as_they_were() -> Iterator[None]:
    """Other tests of this process see lines of access."""
    access = logging.getLogger("aiohttp.access")
    before = access.level
    access.setLevel(logging.NOTSET)
    yield
    access.setLevel(before)


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


@pytest.mark.parametrize("log_format", ["plain", "json"])
@pytest.mark.parametrize("field", ["user_input", "arguments", "output", "error"])
def test_what_callers_say_and_tools_are_told_is_not_there(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat, field: str
) -> None:
    logs.set_up(log_format)
    words = {f"lk.pii.{field}": "my card number is four two"}
    logging.getLogger("livekit.agents").error("a tool failed", extra={**words, "tool": "pay"})
    (line,) = capsys.readouterr().err.splitlines()
    assert "a tool failed" in line
    assert "pay" in line
    assert "card" not in line


def test_a_jobs_log_names_neither_the_room_nor_anybody_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    room = FakeRoom(FakePerson("ada", name="Ada L.", attributes={"sip.phoneNumber": "5551234567"}))
    logs.hide_names_in(cast(rtc.Room, room))
    room.enter(FakePerson("bob"))
    logging.getLogger("livekit").warning("ada (Ada L.), bob and 5551234567 are in the lobby")
    assert "[hidden] ([hidden]), [hidden] and [hidden] are in the [hidden]" in capsys.readouterr().err


@pytest.mark.parametrize("begin", [lambda: logs.set_up("json"), logs.be_discreet], ids=["ours", "LiveKit's"])
async def test_nobody_writes_a_line_for_each_look_at_health_or_numbers(
    begin: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr("json")
    begin()
    ready = Readiness(lambda: True, lambda: False, lambda: True)
    async with answering("127.0.0.1", 0, ready) as port, aiohttp.ClientSession() as http:
        for path in ("readyz", "metrics"):
            async with http.get(f"http://127.0.0.1:{port}/{path}") as answer:
                assert answer.status == 200
    said = capsys.readouterr().err
    assert "/metrics" in said, "where they are is said once"
    assert "GET /" not in said
