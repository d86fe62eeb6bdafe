"""Policy `each`: what becomes of one person's conversation where it fails, or its job is lost."""

import asyncio
from functools import partial
from typing import cast

import pytest
from livekit import rtc

from engine.client import EngineClient
from tests.fake_engine import FakeEngine
from tests.worker.calls import HOUR, Begin, tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource, FakeSwitchboard
from tests.worker.waiting import until
from worker.conversation.sentences import NEW, OVER
from worker.phones.keypad import Keys
from worker.room import people
from worker.room.call import Call, CallLimits, CallManner
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy
from worker.room.welcome import Welcome

EACH = CallManner(RoomPolicy.EACH)
PATIENT = CallLimits(max_s=3600, grace_s=60)


def texts(room: FakeRoom) -> list[tuple[str, tuple[str, ...]]]:
    """What was written so far, and to whom."""
    return [(each.text, each.to) for each in room.local_participant.segments]


async def enter(room: FakeRoom, engine: FakeEngine, *entering: FakePerson) -> None:
    """One after the other, so that their sessions are in this order."""
    for person in entering:
        room.enter(person)
        await until(partial(has_sessions, engine, len(room.remote_participants)))


def has_sessions(engine: FakeEngine, count: int) -> bool:
    return engine.in_calls == count


async def fail(engine: FakeEngine, session: int) -> None:
    """Say what no engine says."""
    left = engine.in_calls - 1
    await engine.sockets[session].send_str('{"type": "nonsense"}')
    await until(lambda: engine.in_calls == left)


async def test_whose_conversation_fails_is_told_and_nobody_else_is(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    running = begin(room, manner=EACH)
    await enter(room, engine, ada)
    await until(lambda: room.local_participant.published)

    def fails(*_args: object, **_options: object) -> None:
        raise RuntimeError("no sound card")

    monkeypatch.setattr(rtc, "AudioSource", fails)
    room.enter(bob)
    await until(lambda: texts(room) == [(OVER, ("bob",))])
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    assert not running.done()


async def test_who_comes_back_after_their_conversation_failed_gets_another(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AWAY_AFTER_S", 0.01)
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    begin(room, PATIENT, manner=EACH)
    await enter(room, engine, ada, bob)
    room.leave(bob)
    await until(lambda: engine.pauses == 1)
    await fail(engine, 1)
    await until(lambda: room.local_participant.unpublished)
    room.speak(room.come_back(bob)).say(tone(2))
    await until(lambda: tone(2) in engine.frames)
    assert engine.in_calls == 2


async def test_who_was_there_when_the_job_was_lost_reads_that_their_conversation_begins_anew(
    engine: FakeEngine, client: EngineClient, sound_card: FakeSource
) -> None:
    room = FakeRoom(FakePerson("ada"))
    manner = CallManner(RoomPolicy.EACH, welcome=Welcome(known=frozenset(["ada"])))
    call = Call("job1", cast(rtc.Room, room), client, HOUR, resume={"job1": "token"}, manner=manner)
    running = asyncio.create_task(call.run())
    await until(lambda: texts(room) == [(NEW, ("ada",))])
    room.enter(FakePerson("bob"))
    await until(lambda: engine.in_calls == 2)
    await asyncio.sleep(0.05)
    assert texts(room) == [(NEW, ("ada",))], "Bob's is his first"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_telephone_whose_conversation_ends_is_hung_up_and_nobody_else(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    switchboard, room = FakeSwitchboard(), FakeRoom()
    ada, phone = FakePerson("ada"), FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
    running = begin(room, manner=CallManner(RoomPolicy.EACH, keys=Keys(switchboard=switchboard)))
    await enter(room, engine, ada, phone)
    await fail(engine, 1)
    await until(lambda: switchboard.hung_up == ["sip_1"])
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    room.leave(ada)
    await running
    assert switchboard.hung_up == ["sip_1"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (CallLimits(max_s=3600, idle_s=1), Reason.IDLE),
        (CallLimits(max_s=1, notice_s=0.1), Reason.MAX_TIME),
    ],
)
async def test_the_last_telephone_is_hung_up_though_somebody_whose_conversation_is_over_is_still_there(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, limits: CallLimits, reason: Reason
) -> None:
    switchboard, room = FakeSwitchboard(), FakeRoom()
    ada, phone = FakePerson("ada"), FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
    running = begin(room, limits, manner=CallManner(RoomPolicy.EACH, keys=Keys(switchboard=switchboard)))
    await enter(room, engine, ada, phone)
    await fail(engine, 0)
    assert await running is reason
    assert switchboard.hung_up == ["sip_1"]


async def test_a_last_conversation_that_fails_leaves_its_telephone_to_another_job(
    engine: FakeEngine, client: EngineClient, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_frame: object) -> None:
        raise RuntimeError("no sound card")

    monkeypatch.setattr(sound_card, "capture_frame", fails)
    switchboard, phone = FakeSwitchboard(), FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
    room = FakeRoom(phone)
    manner = CallManner(RoomPolicy.EACH, keys=Keys(switchboard=switchboard))
    call = Call("job1", cast(rtc.Room, room), client, HOUR, manner=manner)
    running = asyncio.create_task(call.run())
    await until(lambda: engine.in_calls == 1)
    room.speak(phone).say(tone(1))
    assert await running is Reason.FAILED
    assert call.is_held
    assert not switchboard.hung_up


async def test_a_telephone_that_hung_up_is_not_hung_up_again(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    switchboard, room = FakeSwitchboard(), FakeRoom()
    phone = FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
    begin(room, manner=CallManner(RoomPolicy.EACH, keys=Keys(switchboard=switchboard)))
    await enter(room, engine, FakePerson("ada"), phone)
    room.leave(phone)
    await until(lambda: engine.in_calls == 1)
    await asyncio.sleep(0.05)
    assert not switchboard.hung_up
