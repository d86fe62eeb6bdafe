"""What becomes of a call with two speakers where a part of it fails: a real session, in no room."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent
from livekit.agents.voice import io

from tests.fake_engine import FakeEngine
from tests.worker.fakes import FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.hybrid.hybrid import Hybrid
from worker.plugin import MoshiDuplexModel


class Quiet(io.AudioInput):
    """A caller who says nothing."""

    def __init__(self) -> None:
        super().__init__(label="quiet")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.Event().wait()
        raise StopAsyncIteration


class Session(AgentSession[None]):
    """With a caller, and without the room's part."""

    def __init__(self) -> None:
        super().__init__(vad=None)
        self.closed: asyncio.Future[CloseEvent] = asyncio.get_running_loop().create_future()
        self.on("close", self.closed.set_result)

    async def start(self, agent: Agent, **options: Any) -> None:  # type: ignore[override]
        self.input.audio = Quiet()
        await super().start(agent, record=False)


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    session = Session()
    yield session
    await session.aclose()


async def start(hybrid: Hybrid, session: Session, room: FakeRoom, **options: Any) -> None:
    await hybrid.start(session, Agent(instructions=""), room=cast(rtc.Room, room), **options)


async def test_a_room_that_takes_no_track_closes_the_session(
    session: Session, sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    room = FakeRoom()
    room.local_participant.refuses = True
    await start(Hybrid(None), session, room)
    await asyncio.wait_for(session.closed, 60)
    assert "nothing can be played" in caplog.text


async def test_who_was_to_be_greeted_in_a_room_that_takes_no_track_at_last_is_not_waited_for(
    session: Session, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_greeting = asyncio.Event()

    async def refuse(*_args: Any) -> None:
        await is_greeting.wait()
        raise rtc.participant.PublishTrackError("not allowed")

    async def sound() -> AsyncIterator[rtc.AudioFrame]:
        is_greeting.set()
        yield rtc.AudioFrame.create(24_000, 1, 2400)

    async def greet() -> None:
        await session.say("Hello.", audio=sound(), allow_interruptions=False).wait_for_playout()

    room = FakeRoom()
    monkeypatch.setattr(room.local_participant, "publish_track", refuse)
    await start(Hybrid(None), session, room, first=greet)
    await asyncio.wait_for(session.closed, 60)


async def test_a_track_that_breaks_closes_the_session(
    session: Session, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(frame: rtc.AudioFrame) -> None:
        raise RuntimeError("no handle")

    monkeypatch.setattr(sound_card, "capture_frame", break_down)
    hybrid = Hybrid(None)
    await start(hybrid, session, FakeRoom())
    assert session.output.audio is not None
    await session.output.audio.capture_frame(rtc.AudioFrame.create(24_000, 1, 2400))
    await asyncio.wait_for(session.closed, 60)


async def test_a_greeting_that_fails_keeps_moshi_out_no_longer(
    session: Session, sound_card: FakeSource, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def greet() -> None:
        raise RuntimeError("no recording")

    hybrid = Hybrid(MoshiDuplexModel(engine_url=engine.url))
    await start(hybrid, session, FakeRoom(), first=greet)
    await until(lambda: engine.in_calls, 60)
    assert "without its greeting" in caplog.text
    await session.aclose()
    await hybrid.aclose()
    assert session.closed.done()
