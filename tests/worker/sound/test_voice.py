"""The agent's track: when it is there to be heard, and when it is known that it will not be."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from livekit import rtc

from tests.worker.fakes import FakeMe, FakePublication, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.sound import voice as voice_module
from worker.sound.audio_out import Played
from worker.sound.voice import Voice


class SlowMe(FakeMe):
    """Of a room that takes a track when it is `ready`."""

    ready: asyncio.Event

    async def publish_track(self, track: object, options: rtc.TrackPublishOptions) -> FakePublication:
        await self.ready.wait()
        return await super().publish_track(track, options)


@pytest.fixture
def room(sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch) -> FakeRoom:
    monkeypatch.setattr(voice_module, "UNTOLD_S", 0.01)
    room = FakeRoom()
    room.local_participant = me = SlowMe()
    me.ready = asyncio.Event()
    return room


@pytest.fixture
async def told() -> list[bool]:
    return []


@pytest.fixture
async def voice(room: FakeRoom, told: list[bool]) -> AsyncIterator[Voice]:
    async def played(_frame: Played) -> None:
        pass

    voice = Voice(cast(rtc.Room, room), told.append)
    running = asyncio.create_task(voice.run(played))
    yield voice
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def let_publish(room: FakeRoom, ready: bool = True) -> None:
    assert isinstance(room.local_participant, SlowMe)
    (room.local_participant.ready.set if ready else room.local_participant.ready.clear)()


async def test_a_track_that_takes_long_is_waited_for(room: FakeRoom, voice: Voice, told: list[bool]) -> None:
    heard = asyncio.create_task(voice.heard())
    await until(lambda: told == [False])
    await asyncio.sleep(0.02)
    assert not heard.done()
    let_publish(room)
    await heard
    assert voice.track_sid
    assert told == [False, True]


async def test_a_room_that_takes_no_track_is_not_waited_for(room: FakeRoom, voice: Voice) -> None:
    let_publish(room)
    room.local_participant.refuses = True
    async with asyncio.timeout(60):
        await voice.heard()
    assert not voice.track_sid


async def test_what_is_forbidden_is_not_waited_for_until_it_is_allowed(
    room: FakeRoom, voice: Voice, told: list[bool]
) -> None:
    let_publish(room)
    await until(lambda: told[-1:] == [True])
    let_publish(room, ready=False)
    room.permit(False)
    await until(lambda: told[-1:] == [False])
    async with asyncio.timeout(60):
        await voice.heard()
    room.permit(True)
    await asyncio.sleep(0.02)
    heard = asyncio.create_task(voice.heard())
    await asyncio.sleep(0.02)
    assert not heard.done(), "it is on its way"
    let_publish(room)
    await heard
    assert told[-1:] == [True]


async def test_a_voice_that_is_closed_hears_no_more_of_the_room(room: FakeRoom, voice: Voice) -> None:
    let_publish(room)
    await voice.heard()
    await voice.close()
    assert not any(room._events.values())
