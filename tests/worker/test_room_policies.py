"""Several people in a room: whom the model hears, and who hears it."""

import asyncio
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc

from engine.client import EngineClient
from engine.protocol import Audio, Text
from tests.fake_engine import FakeEngine
from tests.worker.calls import HOUR, Begin, tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.conversation import engine_link, interruption
from worker.conversation.sentences import FULL
from worker.room import people
from worker.room.call import Call, CallLimits, CallManner
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy

MIX, EACH = CallManner(RoomPolicy.MIX), CallManner(RoomPolicy.EACH)
PATIENT = CallLimits(max_s=3600, grace_s=60)


@pytest.fixture
def sources(sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch) -> list[FakeSource]:
    """A sound card for every track."""
    made: list[FakeSource] = []

    def make(*_args: Any, **_options: Any) -> FakeSource:
        made.append(FakeSource())
        return made[-1]

    monkeypatch.setattr(rtc, "AudioSource", make)
    return made


def has_played(sources: list[FakeSource], card: int) -> bool:
    return len(sources) > card and bool(sources[card].played)


def loudness(frame: bytes) -> int:
    return int(np.frombuffer(frame, "<i2")[0])


async def test_mixed_people_are_heard_together_in_one_conversation(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    running = begin(room, manner=MIX)
    room.enter(ada)
    first = room.speak(ada)
    first.say(tone(1))
    await until(lambda: engine.frames)
    room.enter(bob)
    room.speak(bob).say(tone(2))
    await asyncio.sleep(0.05)
    first.say(tone(3))
    await until(lambda: len(engine.frames) == 2)
    assert loudness(engine.frames[1]) == loudness(tone(3)) + loudness(tone(2))
    assert len(engine.requests) == 1
    room.leave(ada)
    await asyncio.sleep(0.05)
    assert not running.done(), "somebody is still there"
    room.leave(bob)
    assert await running is Reason.CALLER_LEFT


async def test_a_mixed_conversation_pauses_only_when_all_are_away(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AWAY_AFTER_S", 0.01)
    ada, bob = FakePerson("ada"), FakePerson("bob")
    room = FakeRoom(ada, bob)
    begin(room, PATIENT, manner=MIX)
    track = room.speak(bob)
    await until(lambda: engine.in_calls)
    room.leave(ada)
    track.say(tone(1))
    await until(lambda: engine.frames)
    await asyncio.sleep(0.05)
    assert engine.pauses == 0
    room.leave(bob)
    await until(lambda: engine.pauses == 1)
    room.speak(room.come_back(ada)).say(tone(2))
    await until(lambda: len(engine.frames) == 2)


async def test_a_job_that_takes_over_listens_to_whom_the_one_before_did_whoever_came_first(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada, bob = FakePerson("ada").joined(2), FakePerson("bob").joined(1)
    room = FakeRoom(bob)
    begin(room, PATIENT, manner=CallManner(awaited="ada"))
    room.speak(bob).say(tone(2))
    room.enter(ada)
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    assert tone(2) not in engine.frames
    assert room.local_participant.shown["moshi.caller"] == "ada", "or the next one would not know"
    assert all("lk.agent.state" in shown for shown in room.local_participant.attributes)


async def test_nobody_gets_the_conversation_of_one_who_does_not_come_back(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    bob = FakePerson("bob")
    room = FakeRoom(bob)
    running = begin(room, CallLimits(max_s=3600, arrival_s=0.3), manner=CallManner(awaited="ada"))
    room.speak(bob).say(tone(2))
    async with asyncio.timeout(30):
        assert await running is Reason.CALLER_LEFT
    assert engine.frames == []


async def test_each_person_has_a_conversation_that_the_others_cannot_hear_or_read(
    engine: FakeEngine, begin: Begin, sources: list[FakeSource]
) -> None:
    ada, bob = FakePerson("ada"), FakePerson("bob")
    room = FakeRoom(ada, bob)
    me = room.local_participant
    engine.words = {0: " hello."}
    running = begin(room, manner=EACH)
    await until(lambda: len(sources) == 2)
    room.speak(ada).say(tone(1), tone(2))
    await until(lambda: any(len(source.played) == 2 for source in sources))
    room.speak(bob).say(tone(3), tone(4))
    await until(lambda: all(len(source.played) == 2 for source in sources))
    # Each answer is what its own caller said before.
    assert {source.played[1] for source in sources} == {tone(1), tone(3)}
    assert me.permitted is not None
    assert set(me.permitted) == {"ada", "bob"}
    assert sorted(sid for sids in me.permitted.values() for sid in sids) == ["TR_agent", "TR_agent2"]
    await until(lambda: len(me.segments) == 2)
    assert {segment.to for segment in me.segments} == {("ada",), ("bob",)}
    room.leave(ada)
    await until(lambda: me.unpublished)
    assert set(me.permitted) == {"bob"}
    assert not running.done()
    room.leave(bob)
    assert await running is Reason.CALLER_LEFT
    assert engine.ends == ["hang_up", "hang_up"]


async def test_each_takes_a_seat_of_their_own_and_no_name_goes_into_a_url(
    engine: FakeEngine, begin: Begin, sources: list[FakeSource]
) -> None:
    room = FakeRoom(FakePerson("ada"), FakePerson("bob"))
    begin(room, manner=EACH)
    await until(lambda: len(engine.requests) == 2)
    first, second = (request.seat or "" for request in engine.requests)
    assert first == "job1", "the seat that was reserved for the job"
    assert second.startswith("job1-")
    assert "bob" not in second


async def test_one_who_finds_no_seat_is_told_and_let_in_when_one_is_free(
    engine: FakeEngine, begin: Begin, sources: list[FakeSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.01)
    monkeypatch.setattr(engine_link, "LAST_RETRY_S", 0.05)
    engine.seats = 1
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    begin(room, manner=EACH)
    room.enter(ada)
    await until(lambda: engine.in_calls == 1)
    room.enter(bob)
    me = room.local_participant
    await until(lambda: [(each.text, each.to) for each in me.segments] == [(FULL, ("bob",))])
    assert me.shown.get("moshi.trouble", "") == "", "Ada has none"
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    engine.seats = 2
    track = room.speak(bob)
    async with asyncio.timeout(60):
        while tone(2) not in engine.frames:
            track.say(tone(2))
            await asyncio.sleep(0.02)


async def test_who_comes_back_to_a_call_that_lost_its_job_gets_nobody_elses_conversation(
    engine: FakeEngine, client: EngineClient, begin: Begin, sources: list[FakeSource]
) -> None:
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    killed = begin(room, manner=EACH)
    for person, said in ((ada, tone(1)), (bob, tone(2))):
        room.enter(person)
        room.speak(person).say(said)
        await until(partial(engine.frames.__contains__, said))
    seats = {request.seat or "": f"token {number}" for number, request in enumerate(engine.requests, start=1)}
    killed.cancel()
    await until(lambda: not engine.in_calls)
    again = FakeRoom()
    call = Call("job1", cast(rtc.Room, again), client, HOUR, resume=seats, manner=EACH)
    running = asyncio.create_task(call.run())
    for person, said in ((bob, tone(3)), (ada, tone(4))):
        card = len(sources)
        again.enter(FakePerson(person.identity))
        again.speak(again.remote_participants[person.identity]).say(said)
        await until(partial(has_played, sources, card))
    # What each hears first is what their own conversation was said last.
    assert sources[-2].played == [tone(2)]
    assert sources[-1].played == [bytes(len(tone(1)))], "nobody knows who was first: a new one"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_agent_speaks_as_long_as_it_does_to_anybody(
    engine: FakeEngine, begin: Begin, sources: list[FakeSource]
) -> None:
    room = FakeRoom(FakePerson("ada"), FakePerson("bob"))
    begin(room, manner=EACH)
    await until(lambda: engine.in_calls == 2)
    wire = Text(0, "hello").to_wire()
    await engine.sockets[1].send_str(wire)
    await until(lambda: room.local_participant.shown.get("lk.agent.state") == "speaking")
    await engine.sockets[0].send_bytes(Audio(0, 0, 0, bytes(3840)).to_wire())
    await asyncio.sleep(0.05)
    assert room.local_participant.shown["lk.agent.state"] == "speaking"


async def test_one_conversation_that_fails_leaves_the_others_alone(
    engine: FakeEngine, begin: Begin, sources: list[FakeSource], client: EngineClient
) -> None:
    ada, bob, room = FakePerson("ada"), FakePerson("bob"), FakeRoom()
    running = begin(room, manner=EACH)
    room.enter(ada)
    await until(lambda: engine.in_calls == 1)
    room.enter(bob)
    await until(lambda: engine.in_calls == 2)
    # What no engine says.
    await engine.sockets[1].send_str('{"type": "nonsense"}')
    await until(lambda: engine.in_calls == 1)
    room.speak(ada).say(tone(1))
    await until(lambda: tone(1) in engine.frames)
    assert not running.done()


async def test_other_agents_are_nobody(engine: FakeEngine, begin: Begin, sources: list[FakeSource]) -> None:
    robot = FakePerson("robot", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    room = FakeRoom(robot, FakePerson("ada"))
    begin(room, manner=EACH)
    await until(lambda: engine.in_calls == 1)
    await asyncio.sleep(0.05)
    assert len(engine.requests) == 1


async def test_a_microphone_that_is_taken_back_is_silence_and_its_owner_is_told(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.room import ears

    monkeypatch.setattr(ears, "MICROPHONE_S", 0.1)
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    room.speak(ada).say(tone(1))
    await until(lambda: engine.frames)
    room.fall_silent(ada)
    await until(lambda: room.local_participant.shown.get("moshi.trouble") == ears.NO_MICROPHONE)
    # The model's clock does not stop.
    await until(lambda: engine.frames[1:3] == [bytes(len(tone(1)))] * 2)
    room.speak(ada).say(tone(2))
    await until(lambda: tone(2) in engine.frames)
    await until(lambda: room.local_participant.shown["moshi.trouble"] == "")


async def test_a_caller_who_says_nothing_is_told_and_hung_up_on(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, CallLimits(max_s=3600, grace_s=0, idle_s=0.2))
    room.speak(ada).say(bytes(len(tone(1))))
    assert await running is Reason.IDLE
    assert "I hear nobody" in room.local_participant.segments[0].text
    assert engine.ends == ["hang_up"]


async def test_time_in_which_nobody_could_speak_is_no_silence_of_theirs(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom()
    running = begin(room, CallLimits(max_s=3600, grace_s=3, idle_s=0.3))
    await asyncio.sleep(0.6)
    assert not running.done(), "nobody is there yet"
    room.enter(ada)
    room.speak(ada).say(bytes(len(tone(1))))
    assert await running is Reason.IDLE


async def test_while_the_agent_is_heard_a_half_duplex_model_hears_silence(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    loud = np.full(1920, 8000, "<i2").tobytes()
    begin(room, HOUR, manner=CallManner(half_duplex=True))
    track = room.speak(ada)
    track.say(loud, loud)
    # The second answer is the first frame, loud: from then on the caller is not heard.
    await until(lambda: loud in sound_card.played)
    track.say(loud)
    await until(lambda: len(engine.frames) == 3)
    assert engine.frames == [loud, loud, bytes(len(loud))]
