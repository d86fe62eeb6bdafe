import asyncio
from typing import cast

import pytest
from livekit import rtc

from tests.worker.fakes import FakePerson, FakePublication, FakeRoom, FakeTrack
from worker.room.people import Arrived, Away, Back, Change, Left, People

PHONE = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
REMOVED = rtc.DisconnectReason.PARTICIPANT_REMOVED


class Watcher:
    """Who came and went in a room, `told` as it was."""

    def __init__(self, room: FakeRoom, grace_s: float = 60.0, away_after_s: float = 60.0) -> None:
        self.people = People(cast(rtc.Room, room), grace_s, away_after_s)
        self._changes = self.people.changes()

    async def next(self) -> Change:
        async with asyncio.timeout(60):
            return await anext(self._changes)

    async def nothing_more(self) -> bool:
        """Whether nothing has happened that was not told yet. No change can be told after this."""
        try:
            async with asyncio.timeout(0.05):
                await anext(self._changes)
        except TimeoutError:
            return True
        return False


async def test_people_are_told_as_they_come_and_are_heard_by_whoever_listens() -> None:
    room, ada, bob = FakeRoom(), FakePerson("ada"), FakePerson("bob")
    watcher = Watcher(room)
    room.enter(ada)
    room.enter(bob)
    first, second = await watcher.next(), await watcher.next()
    assert isinstance(first, Arrived)
    assert isinstance(second, Arrived)
    assert (first.person.identity, second.person.identity) == ("ada", "bob")
    first.person.listen()
    bobs, adas = FakePublication(), FakePublication()
    room.speak(bob, bobs)
    room.speak(ada, adas)
    assert (adas.subscribed, bobs.subscribed) == (True, False)
    assert cast(object, await first.person.track()) is adas.track


async def test_those_already_there_are_told_in_the_order_in_which_they_came() -> None:
    late, early = FakePerson("late").joined(9), FakePerson("early").joined(3)
    microphone = FakePublication()
    early.track_publications["TR"] = microphone
    watcher = Watcher(FakeRoom(late, early))
    first = await watcher.next()
    assert first.person.identity == "early"
    first.person.listen()
    assert microphone.subscribed


async def test_other_agents_are_not_people() -> None:
    room = FakeRoom(FakePerson("bot", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))
    watcher = Watcher(room)
    room.enter(FakePerson("recorder", rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
    assert await watcher.nothing_more()


async def test_somebody_on_the_telephone_is() -> None:
    watcher = Watcher(FakeRoom(FakePerson("sip_1", PHONE)))
    assert isinstance(await watcher.next(), Arrived)


async def test_a_telephone_that_was_hung_up_has_left_though_it_is_still_there() -> None:
    room, phone = FakeRoom(), FakePerson("sip_1", PHONE, attributes={"sip.callStatus": "active"})
    watcher = Watcher(room)
    room.enter(phone)
    assert isinstance(await watcher.next(), Arrived)
    phone.attributes["sip.callStatus"] = "hangup"
    room.emit("participant_attributes_changed", {"sip.callStatus": "hangup"}, phone)
    assert isinstance(await watcher.next(), Left)
    assert watcher.people.handset("sip_1") is None
    room.leave(phone)
    assert await watcher.nothing_more()


async def test_pictures_and_shared_screens_are_not_heard() -> None:
    room, ada = FakeRoom(), FakePerson("ada")
    watcher = Watcher(room)
    room.enter(ada)
    (await watcher.next()).person.listen()
    picture = FakePublication(FakeTrack(rtc.TrackKind.KIND_VIDEO), rtc.TrackSource.SOURCE_CAMERA)
    screen = FakePublication(source=rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
    room.speak(ada, picture)
    room.speak(ada, screen)
    assert not picture.subscribed
    assert not screen.subscribed


async def test_a_reconnect_is_no_change_and_the_new_microphone_is_heard() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room)
    person = (await watcher.next()).person
    person.listen()
    old = room.speak(ada)
    room.leave(ada)
    new = room.speak(room.come_back(ada))
    heard: list[object] = [await person.track(), await person.track()]
    assert heard == [old, new]
    assert person.is_here
    assert await watcher.nothing_more()


async def test_who_is_gone_for_longer_is_away_until_they_are_back() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room, away_after_s=0.01)
    person = (await watcher.next()).person
    room.leave(ada)
    assert await watcher.next() == Away(person)
    again = room.come_back(ada)
    assert await watcher.next() == Back(person, was_gone=True)
    assert cast(object, person.participant) is again
    assert await watcher.nothing_more()


async def test_whose_line_was_dead_comes_back_without_having_been_gone() -> None:
    watcher = Watcher(FakeRoom(FakePerson("ada")))
    person = (await watcher.next()).person
    for works in (False, False, True, True):
        person.line_works(works)
    assert await watcher.next() == Away(person)
    assert await watcher.next() == Back(person, was_gone=False)
    assert await watcher.nothing_more()


async def test_who_does_not_come_back_has_left_and_is_somebody_new_afterwards() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room, grace_s=0.05, away_after_s=0.01)
    person = (await watcher.next()).person
    room.leave(ada)
    assert await watcher.next() == Away(person)
    assert await watcher.next() == Left(person)
    room.come_back(ada)
    arrived = await watcher.next()
    assert isinstance(arrived, Arrived)
    assert arrived.person is not person


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, REMOVED),
        (PHONE, rtc.DisconnectReason.CLIENT_INITIATED),
    ],
    ids=["removed", "telephone"],
)
async def test_nobody_waits_for_who_cannot_come_back(kind: int, reason: int) -> None:
    ada = FakePerson("ada", kind)
    room = FakeRoom(ada)
    watcher = Watcher(room)
    person = (await watcher.next()).person
    room.leave(ada, reason)
    assert await watcher.next() == Left(person)


async def test_our_own_reconnect_ends_no_telephone_call() -> None:
    phone = FakePerson("sip_1", PHONE)
    room = FakeRoom(phone)
    watcher = Watcher(room)
    person = (await watcher.next()).person
    room.leave(phone, reason=None)
    again = room.come_back(phone)
    assert await watcher.nothing_more()
    assert cast(object, person.participant) is again


async def test_a_telephone_that_hung_up_during_our_reconnect_has_left() -> None:
    phone = FakePerson("sip_1", PHONE)
    room = FakeRoom(phone)
    watcher = Watcher(room, grace_s=0.05)
    person = (await watcher.next()).person
    room.leave(phone, reason=None)
    assert await watcher.next() == Left(person)


async def test_nobody_waits_for_who_says_that_they_hang_up() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room)
    person = (await watcher.next()).person
    room.hang_up(ada)
    assert await watcher.next() == Left(person)
    room.leave(ada)
    assert await watcher.nothing_more()


async def test_after_our_own_reconnect_those_we_listened_to_are_asked_for_again() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room)
    (await watcher.next()).person.listen()
    microphone = FakePublication()
    room.speak(ada, microphone)
    # What was asked for over the old connection is lost.
    microphone.subscribed = False
    room.emit("reconnected")
    assert microphone.subscribed


async def test_a_connection_that_ends_after_it_was_replaced_says_nothing() -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    watcher = Watcher(room, away_after_s=0.01)
    await watcher.next()
    room.come_back(ada)
    room.emit("participant_disconnected", ada)
    assert await watcher.nothing_more()
