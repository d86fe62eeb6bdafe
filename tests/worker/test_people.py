import asyncio
from typing import cast

from livekit import rtc

from tests.worker.fakes import FakePerson, FakePublication, FakeRoom, FakeTrack
from worker.people import FirstCaller


def first_caller(room: FakeRoom) -> FirstCaller:
    return FirstCaller(cast(rtc.Room, room))


async def next_track(caller: FirstCaller) -> object:
    async with asyncio.timeout(1):
        async for track in caller.tracks():
            return track
    return None


async def test_the_first_person_is_heard_and_the_second_is_not() -> None:
    room, ada, bob = FakeRoom(), FakePerson("ada"), FakePerson("bob")
    caller = first_caller(room)
    room.enter(ada)
    room.enter(bob)
    bobs, adas = FakePublication(), FakePublication()
    room.speak(bob, bobs)
    room.emit("track_subscribed", bobs.track, bobs, bob)
    room.speak(ada, adas)
    assert (adas.subscribed, bobs.subscribed) == (True, False)
    assert await next_track(caller) is adas.track


async def test_who_came_first_is_the_first_of_those_already_there() -> None:
    late, early = FakePerson("late").joined(9), FakePerson("early").joined(3)
    microphone = FakePublication()
    early.track_publications["TR"] = microphone
    caller = first_caller(FakeRoom(late, early))
    assert caller.arrived.is_set()
    assert microphone.subscribed


async def test_other_agents_are_not_people() -> None:
    agent = FakePerson("bot", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    room = FakeRoom(agent)
    caller = first_caller(room)
    room.enter(FakePerson("recorder", rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
    assert not caller.arrived.is_set()


async def test_somebody_on_the_telephone_is() -> None:
    caller = first_caller(FakeRoom(FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)))
    assert caller.arrived.is_set()


async def test_pictures_and_shared_screens_are_not_heard() -> None:
    room, ada = FakeRoom(), FakePerson("ada")
    first_caller(room)
    room.enter(ada)
    picture = FakePublication(FakeTrack(rtc.TrackKind.KIND_VIDEO), rtc.TrackSource.SOURCE_CAMERA)
    screen = FakePublication(source=rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
    room.speak(ada, picture)
    room.speak(ada, screen)
    assert not picture.subscribed
    assert not screen.subscribed


async def test_only_the_caller_can_leave() -> None:
    room, ada, bob = FakeRoom(), FakePerson("ada"), FakePerson("bob")
    caller = first_caller(room)
    room.enter(ada)
    room.enter(bob)
    room.leave(bob)
    assert not caller.left.is_set()
    room.leave(ada)
    assert caller.left.is_set()
