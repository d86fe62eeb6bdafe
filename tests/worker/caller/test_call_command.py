import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from pydantic import SecretStr

from engine.errors import EngineError, Refused, UserError
from tests.worker.fakes import FakeMe, FakePerson, FakePublication, FakeRoom, FakeSource
from worker.caller import call_command, sound_files
from worker.caller.call_command import AgentLeft, call
from worker.caller.caller import SPEAKING_RATE, NoConnection
from worker.settings import LiveKitSettings

AGENT = FakePerson("agent", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
SETTINGS = LiveKitSettings(livekit_api_secret=SecretStr("k" * 32))
IN, OUT = Path("in.wav"), Path("out.wav")


class HeardPublication(FakePublication):
    async def wait_for_subscription(self) -> None:
        pass


class Me(FakeMe):
    async def publish_data(self, _payload: bytes, *, topic: str) -> None:
        pass

    async def publish_track(self, _track: object, _options: rtc.TrackPublishOptions) -> FakePublication:
        return HeardPublication()


class AgentRoom(FakeRoom):
    """An agent is in it, and hums until `leaves_after_s`."""

    leaves_after_s: float | None = None
    refusal: str | None = None

    def __init__(self) -> None:
        super().__init__(AGENT)
        self.local_participant = Me()

    async def connect(self, _url: str, _token: str) -> None:
        if self.refusal is not None:
            raise rtc.ConnectError(self.refusal)
        loop = asyncio.get_running_loop()
        loop.call_soon(self.emit, "track_subscribed", FakePublication().track, FakePublication(), AGENT)
        if self.leaves_after_s is not None:
            loop.call_later(self.leaves_after_s, self.leave, AGENT)

    async def disconnect(self) -> None:
        pass

    def register_text_stream_handler(self, _topic: str, _handler: object) -> None:
        pass


class Hum:
    """`rtc.AudioStream` of somebody who never stops."""

    def __init__(self, _track: object, **_options: Any) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        while True:
            await asyncio.sleep(0.02)
            pcm = np.full(480, 5000, np.int16).tobytes()
            yield SimpleNamespace(frame=rtc.AudioFrame(pcm, 24_000, 1, 480))

    async def aclose(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _room_with_an_agent(sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_there(*_: object) -> None:
        pass

    monkeypatch.setattr(rtc, "Room", AgentRoom)
    monkeypatch.setattr(rtc, "AudioStream", Hum)
    monkeypatch.setattr(call_command, "check_livekit", is_there)
    sound_files.write(IN, np.zeros(SPEAKING_RATE // 2, np.int16), SPEAKING_RATE)


async def call_it() -> None:
    await call(IN, OUT, SETTINGS, room="room", tail_s=0.1)


def heard_s() -> float:
    return len(sound_files.read(OUT, 24_000)) / 24_000


async def test_what_came_back_is_saved() -> None:
    await call_it()
    assert 0.4 < heard_s() < 0.8


async def test_an_agent_that_leaves_in_mid_call_is_an_error_and_what_was_heard_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AgentRoom, "leaves_after_s", 0.2)
    with pytest.raises(AgentLeft, match=r"the agent was gone after 0\.\d s"):
        await call_it()
    assert 0.05 < heard_s() < 0.35


async def test_a_connection_that_cannot_be_made_is_one_line_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AgentRoom, "refusal", "engine: connection error:\n could not establish pc connection")
    with pytest.raises(NoConnection, match="connection error: could not establish") as error:
        await call_it()
    assert isinstance(error.value, EngineError)
    assert not isinstance(error.value, UserError | Refused)
    assert "\n" not in str(error.value)
    assert not await asyncio.to_thread(OUT.exists)
