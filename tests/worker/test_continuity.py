"""A call goes on where its caller, its engine or its room fails for a while, and says so."""

import asyncio
import time
from collections.abc import Callable

import pytest
from livekit import rtc

from engine.client import EngineClient
from engine.protocol import FRAME_BYTES, Ended, Failure
from tests.fake_engine import FakeEngine, serving
from tests.worker.calls import ANEW, GOODBYE, ONE_MOMENT, Begin, tone
from tests.worker.fakes import FakePerson, FakePublication, FakeRoom, FakeSource, FakeTrack
from tests.worker.waiting import until
from worker.conversation import interruption
from worker.conversation.sentences import BACK, FULL, HEARD, LOST, NEW, OVER, UNHEARD
from worker.room import ears, line, people
from worker.room.call import CallLimits
from worker.room.ears import MICROPHONE, NO_MICROPHONE
from worker.room.line import LOOK_S
from worker.room.reasons import Reason
from worker.sound import voice

PATIENT = CallLimits(max_s=3600, grace_s=60)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "AWAY_AFTER_S", 0.01)
    monkeypatch.setattr(line, "LOST_AFTER_S", 0.3)
    monkeypatch.setattr(line, "LOOK_S", 0.01)
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.05)
    monkeypatch.setattr(voice, "AGAIN_S", 0.01)


def texts(room: FakeRoom) -> list[str]:
    """What was written into the room so far."""
    return [segment.text for segment in room.local_participant.segments]


def trouble(room: FakeRoom) -> str:
    """What an app shows as wrong now."""
    return room.local_participant.shown.get("moshi.trouble", "")


async def say(track: FakeTrack, engine: FakeEngine, number: int) -> None:
    """Say one frame, and wait until the engine has it."""
    heard = len(engine.frames)
    track.say(tone(number))
    await until(lambda: len(engine.frames) > heard)


async def keep_saying(track: FakeTrack, frame: bytes, is_heard: Callable[[], object]) -> None:
    """Say it again and again: what is said while something is announced is not heard."""
    async with asyncio.timeout(60):
        while not is_heard():
            track.say(frame)
            await asyncio.sleep(0.02)


async def test_who_comes_back_in_time_goes_on_in_the_same_conversation(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, PATIENT)
    await say(room.speak(ada), engine, 1)
    room.leave(ada)
    await until(lambda: engine.pauses)
    again = room.come_back(ada)
    await say(room.speak(again), engine, 2)
    await until(lambda: len(sound_card.played) == 2)
    assert sound_card.played[-1] == tone(1), "what was said before is what the model remembers"
    assert len(engine.requests) == 1
    assert engine.ends == []
    room.hang_up(again)
    assert await running is Reason.CALLER_LEFT


async def test_nothing_is_sent_while_the_caller_is_away(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room, PATIENT)
    track = room.speak(ada)
    await say(track, engine, 1)
    room.leave(ada)
    await until(lambda: engine.pauses)
    track.say(tone(2), tone(3))
    await asyncio.sleep(0.05)
    assert engine.frames == [tone(1)]


async def test_who_stays_in_the_room_with_a_dead_line_is_away_until_sound_comes_again(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room, PATIENT)
    track = room.speak(ada, FakePublication(FakeTrack(packet_at=time.monotonic())))
    await say(track, engine, 1)
    await until(lambda: engine.pauses == 1)
    # What WebRTC makes up meanwhile.
    track.say(bytes(FRAME_BYTES))
    await asyncio.sleep(0.05)
    assert engine.frames == [tone(1)]
    track.packet_at = time.monotonic() + 3600
    await keep_saying(track, tone(2), lambda: tone(2) in engine.frames)
    assert len(engine.requests) == 1
    assert engine.pauses == 1


async def test_who_stays_in_the_room_with_a_dead_line_is_hung_up_on_as_who_says_nothing(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, CallLimits(max_s=3600, grace_s=60, idle_s=1.5))
    room.speak(ada, FakePublication(FakeTrack(packet_at=time.monotonic())))
    await until(lambda: engine.pauses)
    async with asyncio.timeout(30):
        assert await running is Reason.IDLE
    assert any("I hear nobody" in text for text in texts(room))


async def test_who_is_out_of_the_room_for_a_while_has_not_been_silent(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, CallLimits(max_s=3600, grace_s=60, idle_s=0.3))
    await say(room.speak(ada), engine, 1)
    room.leave(ada)
    await until(lambda: engine.pauses)
    await asyncio.sleep(1)
    assert not running.done()


async def test_who_is_muted_is_not_away(engine: FakeEngine, begin: Begin, sound_card: FakeSource) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room, PATIENT)
    long_ago = time.monotonic() - 60
    track = room.speak(ada, FakePublication(FakeTrack(packet_at=long_ago), muted=True))
    await say(track, engine, 1)
    await asyncio.sleep(2 * LOOK_S)
    await say(track, engine, 2)
    assert engine.pauses == 0


async def test_the_line_of_a_telephone_is_not_judged_by_its_silence(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    phone = FakePerson("sip_1", rtc.ParticipantKind.PARTICIPANT_KIND_SIP)
    room = FakeRoom(phone)
    begin(room, PATIENT)
    track = room.speak(phone, FakePublication(FakeTrack(packet_at=time.monotonic() - 60)))
    await say(track, engine, 1)
    await asyncio.sleep(2 * LOOK_S)
    await say(track, engine, 2)
    assert engine.pauses == 0


async def test_a_reconnect_that_takes_a_moment_pauses_nothing(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AWAY_AFTER_S", 60)
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room, PATIENT)
    await say(room.speak(ada), engine, 1)
    room.leave(ada)
    await say(room.speak(room.come_back(ada)), engine, 2)
    assert engine.pauses == 0


async def test_who_does_not_come_back_has_hung_up(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, CallLimits(max_s=3600, grace_s=0.1))
    await until(lambda: engine.in_calls)
    room.leave(ada)
    assert await running is Reason.CALLER_LEFT
    await until(lambda: engine.ends)
    assert engine.ends == ["hang_up"]
    assert engine.pauses == 1


async def test_a_lost_connection_to_the_engine_is_made_again_and_nobody_hears_of_it(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "UNTOLD_S", 60)
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    track = room.speak(ada)
    await say(track, engine, 1)
    await engine.drop()
    await until(lambda: engine.resumes)
    await say(track, engine, 2)
    await until(lambda: len(sound_card.played) == 2)
    assert sound_card.played[-1] == tone(1)
    await asyncio.sleep(0.1)
    assert (texts(room), trouble(room)) == ([], "")
    assert "idle" not in room.local_participant.states


async def test_an_engine_that_is_gone_is_told_and_so_is_that_the_conversation_is_a_new_one(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    track = room.speak(ada)
    await say(track, engine, 1)
    engine.broken = True
    engine.forget()
    await engine.drop()
    await until(lambda: trouble(room) == LOST)
    await until(lambda: room.local_participant.states[-1] == "idle")
    await until(lambda: tone(ONE_MOMENT) in sound_card.played)
    assert not running.done()
    engine.broken = False
    await until(lambda: tone(ANEW) in sound_card.played)
    await until(lambda: texts(room) == [LOST, NEW])
    assert trouble(room) == ""
    await until(lambda: room.local_participant.states[-1] == "listening")
    await keep_saying(track, tone(2), lambda: bytes(FRAME_BYTES) in sound_card.played[-4:])


async def test_an_engine_that_comes_back_with_the_conversation_says_that_it_goes_on(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    await say(room.speak(ada), engine, 1)
    engine.broken = True
    await engine.drop()
    await until(lambda: trouble(room) == LOST)
    engine.broken = False
    await until(lambda: texts(room) == [LOST, BACK])
    assert engine.resumes == 1


async def test_a_session_that_the_engine_gives_up_begins_anew_and_says_so(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    await say(room.speak(ada), engine, 1)
    await engine.say(Failure("internal", "the step failed"))
    await engine.say(Ended("error"))
    await until(lambda: NEW in texts(room))
    assert "the step failed" in str([vars(record) for record in caplog.records])


async def test_an_engine_that_stays_away_ends_the_call_in_words(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, CallLimits(max_s=3600, engine_s=0.3))
    await say(room.speak(ada), engine, 1)
    engine.broken = True
    await engine.drop()
    assert await asyncio.wait_for(running, 60) is Reason.ENGINE_LOST
    assert texts(room) == [LOST, OVER]
    assert sound_card.played[-1] == tone(GOODBYE)


async def test_an_engine_that_is_not_there_at_first_is_told_and_waited_for(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.broken = True
    ada, room = FakePerson("ada"), FakeRoom()
    begin(room)
    await until(lambda: trouble(room) == LOST)
    room.enter(ada)
    track = room.speak(ada)
    # Again, to the one who was not there.
    await until(lambda: texts(room) == [LOST, LOST])
    engine.broken = False
    await until(lambda: trouble(room) == "")
    # What is announced meanwhile comes first.
    await keep_saying(track, tone(1), lambda: engine.frames)
    assert room.local_participant.shown["moshi.model"] == "fake"


async def test_a_full_engine_is_told_as_such_and_lets_one_in_later(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.seats = 0
    room = FakeRoom(FakePerson("ada"))
    begin(room)
    await until(lambda: trouble(room) == FULL)
    engine.seats = 1
    await until(lambda: trouble(room) == "")


async def test_a_room_that_takes_no_sound_gets_the_words(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.words = {0: " Hello", 1: " there."}
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    room.local_participant.refuses = True
    begin(room)
    track = room.speak(ada)
    await until(lambda: trouble(room) == UNHEARD)
    await say(track, engine, 1)
    await say(track, engine, 2)
    await until(lambda: texts(room) == [UNHEARD, "Hello there."])
    assert sound_card.played == []
    room.local_participant.refuses = False
    await until(lambda: trouble(room) == "")
    await until(lambda: HEARD in texts(room))
    await say(track, engine, 3)
    await until(lambda: sound_card.played == [tone(2)])


async def test_a_voice_that_is_forbidden_is_told_and_heard_again_once_it_is_allowed(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    track = room.speak(ada)
    await say(track, engine, 1)
    await until(lambda: len(sound_card.played) == 1)
    room.permit(False)
    await until(lambda: trouble(room) == UNHEARD)
    await say(track, engine, 2)
    assert len(sound_card.played) == 1
    room.permit(True)
    await until(lambda: texts(room) == [UNHEARD, HEARD])
    await say(track, engine, 3)
    await until(lambda: sound_card.played[1:] == [tone(2)])
    assert len(room.local_participant.published) == 2


async def test_a_caller_without_a_microphone_is_told_so_until_there_is_one(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "MICROPHONE_S", 0.05)
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    await until(lambda: trouble(room) == NO_MICROPHONE)
    await say(room.speak(ada), engine, 1)
    await until(lambda: trouble(room) == "")
    await until(lambda: texts(room) == [NO_MICROPHONE, MICROPHONE])


async def test_after_the_agents_own_reconnect_its_attributes_are_shown_again(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom(FakePerson("ada"))
    begin(room)
    me = room.local_participant
    await until(lambda: me.shown.get("moshi.model"))
    me.attributes.clear()
    room.emit("reconnected")
    await until(lambda: me.shown.get("moshi.model") == "fake")
    assert me.shown["lk.agent.state"] == "listening"


async def test_a_call_that_ends_while_its_engine_is_gone_ends_at_once(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom(FakePerson("ada"))
    running = begin(room)
    await until(lambda: engine.in_calls)
    engine.broken = True
    await engine.drop()
    room.emit("disconnected", rtc.DisconnectReason.ROOM_DELETED)
    assert await asyncio.wait_for(running, 60) is Reason.ROOM_CLOSED


async def test_a_call_that_goes_on_at_another_engine_is_told_to_nobody(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    async with serving(FakeEngine()) as lily, EngineClient(engine.url, peers={"lily": lily.url}) as client:
        running = begin(room, PATIENT, engine=client)
        track = room.speak(ada)
        await say(track, engine, 1)
        await until(lambda: sound_card.played)
        await engine.hand_over(lily, "lily")
        await until(lambda: lily.resumes)
        await say(track, lily, 2)
        await until(lambda: len(sound_card.played) == 2)
        assert sound_card.played[-1] == tone(1), "what was said before is what the model remembers"
        assert (texts(room), trouble(room)) == ([], "")
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
