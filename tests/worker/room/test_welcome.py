"""How a conversation begins: heard, told, and only then with the model."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES
from tests.fake_engine import FakeEngine
from tests.worker.calls import ANEW, Begin, FakeClip, tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.conversation.sentences import NEW
from worker.room import welcome as welcome_module
from worker.room.call import CallManner
from worker.room.disclosure import Disclosure
from worker.room.room_policy import RoomPolicy
from worker.room.welcome import Welcome
from worker.sound.clips import Clip

SENTENCE = "This is a machine."
CLIP = FakeClip(tone(9004))
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def telling(who: Disclosure, policy: RoomPolicy = RoomPolicy.FIRST) -> CallManner:
    return CallManner(policy, welcome=Welcome(who, SENTENCE, (cast(Clip, CLIP),) * 2))


def texts(room: FakeRoom) -> list[str]:
    return [segment.text for segment in room.local_participant.segments]


@pytest.mark.parametrize("policy", RoomPolicy)
async def test_who_calls_by_telephone_is_told_before_the_model_hears_anything(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, policy: RoomPolicy
) -> None:
    phone = FakePerson("sip_1", SIP)
    room = FakeRoom(phone)
    begin(room, manner=telling(Disclosure.PHONE, policy))
    track = room.speak(phone)
    track.say(tone(1))
    await until(lambda: sound_card.played[:2] == [CLIP.frame, CLIP.frame])
    assert engine.frames == []
    assert texts(room) == [SENTENCE]
    await until(lambda: room.local_participant.states[-1] == "listening")
    track.say(tone(2))
    await until(lambda: engine.frames)
    assert tone(1) not in engine.frames
    assert room.local_participant.states == ["speaking", "listening"]
    assert room.local_participant.shown["moshi.model"] == "fake"


@pytest.mark.parametrize(
    ("who", "kind", "told"),
    [
        (Disclosure.PHONE, rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, False),
        (Disclosure.PHONE, rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR, True),
        (Disclosure.ALL, rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, True),
        (Disclosure.OFF, SIP, False),
    ],
)
async def test_the_setting_says_who_is_told(
    engine: FakeEngine,
    begin: Begin,
    sound_card: FakeSource,
    who: Disclosure,
    kind: rtc.ParticipantKind.ValueType,
    told: bool,
) -> None:
    ada = FakePerson("ada", kind)
    room = FakeRoom(ada)
    begin(room, manner=telling(who))
    await until(lambda: room.local_participant.states[-1:] == ["listening"])
    assert (CLIP.frame in sound_card.played) is told
    assert (SENTENCE in texts(room)) is told
    room.speak(ada).say(tone(1))
    await until(lambda: engine.frames)


async def test_who_was_in_the_call_before_its_job_was_lost_is_not_told_again_and_who_comes_later_is(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada, bob = FakePerson("ada"), FakePerson("bob")
    room = FakeRoom(ada)
    welcome = replace(telling(Disclosure.ALL).welcome, known=frozenset(["ada"]))
    begin(room, manner=CallManner(RoomPolicy.MIX, welcome=welcome))
    await until(lambda: room.local_participant.states == ["listening"])
    assert texts(room) == []
    assert CLIP.frame not in sound_card.played
    room.enter(bob)
    await until(lambda: CLIP.frame in sound_card.played)
    assert texts(room) == [SENTENCE]


async def test_who_has_lost_a_conversation_is_told_before_the_new_one_begins_and_who_comes_later_is_not(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(welcome_module, "ANEW", FakeClip(tone(ANEW)))
    ada, room = FakePerson("ada"), FakeRoom()
    room.enter(ada)
    lost = Welcome(lost=frozenset(["ada"]))
    begin(room, manner=CallManner(RoomPolicy.MIX, welcome=lost))
    await until(lambda: texts(room) == [NEW])
    await until(lambda: sound_card.played[:1] == [tone(ANEW)])
    assert engine.frames == []
    await until(lambda: room.local_participant.states[-1:] == ["listening"])
    room.enter(FakePerson("bob"))
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    assert texts(room) == [NEW]


async def test_nothing_begins_before_the_caller_can_hear_it(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    me = room.local_participant
    me.unheard = True
    begin(room, manner=telling(Disclosure.ALL))
    track = room.speak(ada)
    await until(lambda: engine.in_calls)
    track.say(tone(1))
    await asyncio.sleep(0.05)
    assert (sound_card.played, engine.frames, me.attributes) == ([], [], [])


async def test_who_never_subscribes_is_not_waited_for_for_long(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(welcome_module, "UNHEARD_S", 0.05)
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    room.local_participant.unheard = True
    begin(room)
    await until(lambda: room.local_participant.states == ["listening"])
    room.speak(ada).say(tone(1))
    await until(lambda: engine.frames == [tone(1)])


async def test_a_telephone_that_still_rings_is_waited_for(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    phone = FakePerson("sip_1", SIP, attributes={"sip.callStatus": "ringing"})
    room = FakeRoom(phone)
    begin(room, manner=telling(Disclosure.PHONE))
    await until(lambda: engine.in_calls)
    await asyncio.sleep(0.05)
    assert sound_card.played == []
    phone.attributes["sip.callStatus"] = "active"
    room.emit("participant_attributes_changed", {"sip.callStatus": "active"}, phone)
    await until(lambda: CLIP.frame in sound_card.played)


async def test_each_telephone_of_a_room_is_told_and_the_model_waits_meanwhile(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada, phone = FakePerson("ada"), FakePerson("sip_1", SIP)
    room = FakeRoom(ada)
    begin(room, manner=telling(Disclosure.PHONE, RoomPolicy.MIX))
    room.speak(ada)
    await until(lambda: room.local_participant.states == ["listening"])
    assert sound_card.played.count(CLIP.frame) == 0
    room.enter(phone)
    await until(lambda: sound_card.played.count(CLIP.frame) == 2)
    assert bytes(FRAME_BYTES) not in sound_card.played[sound_card.played.index(CLIP.frame) :][:2]
    assert texts(room) == [SENTENCE]
