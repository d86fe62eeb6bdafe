import asyncio
import json
from functools import partial

import pytest
from livekit import rtc

from engine.client import EngineClient
from engine.protocol import FRAME_BYTES, SessionRequest
from engine.step.frames import FRAME_S
from tests.fake_engine import FakeEngine, FakeSession
from tests.worker.calls import Begin, tone
from tests.worker.fakes import FakePerson, FakePublication, FakeRoom, FakeSource, FakeStreamWriter
from tests.worker.waiting import until
from worker.conversation import waits
from worker.conversation.engine_link import UNANSWERED_FRAMES
from worker.room import call as call_module
from worker.room.call import CallLimits
from worker.room.reasons import Reason
from worker.room.wishes import Wishes
from worker.signs import transcript

IMPATIENT = CallLimits(max_s=3600, grace_s=0, engine_s=0)


async def test_the_caller_hears_the_engines_answer_to_what_they_said(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada, room = FakePerson("ada"), FakeRoom()
    running = begin(room)
    room.enter(ada)
    room.speak(ada).say(tone(1), tone(2), tone(3))
    await until(lambda: len(sound_card.played) == 3)
    assert engine.frames == [tone(1), tone(2), tone(3)]
    assert sound_card.played == [bytes(FRAME_BYTES), tone(1), tone(2)]
    room.leave(ada)
    assert await running is Reason.CALLER_LEFT


async def test_the_track_is_there_before_anybody_comes(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    begin(room)
    await until(lambda: engine.in_calls)
    (options,) = room.local_participant.published
    assert options.source == rtc.TrackSource.SOURCE_MICROPHONE


async def test_the_session_takes_the_seat_that_was_reserved_for_the_job(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    begin(FakeRoom())
    await until(lambda: engine.requests)
    assert engine.requests[0].seat == "job1"


async def test_the_model_speaks_as_the_dispatch_asked_for(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    begin(FakeRoom(), wishes=Wishes(SessionRequest(temperature=0.5, seed=7)))
    await until(lambda: engine.requests)
    assert engine.requests == [
        SessionRequest(temperature=0.5, seed=7, seat="job1", room="lobby", identity="agent")
    ]


async def test_the_room_is_told_which_model_this_is_and_how_late_it_answers(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "INTERVAL_S", 0.01)
    ada, room = FakePerson("ada"), FakeRoom()
    begin(room)
    room.enter(ada)
    me = room.local_participant
    await until(lambda: any("moshi.model" in shown for shown in me.attributes))
    assert me.shown["moshi.model"] == "fake"
    assert me.shown["moshi.model_delay_ms"] == "80"
    assert me.latencies == [], "before there was anything to be late with"
    room.speak(ada).say(tone(1), tone(2))
    await until(lambda: me.latencies and '"frames": 2' in me.latencies[-1])
    assert json.loads(me.latencies[-1]).keys() == {"p50_ms", "p95_ms", "p99_ms", "frames", "missed"}
    assert all("lk.agent.state" in shown for shown in me.attributes), "apps would take the state for lost"


async def test_a_caller_who_leaves_hangs_up(engine: FakeEngine, begin: Begin, sound_card: FakeSource) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    await until(lambda: engine.in_calls)
    room.leave(ada)
    assert await running is Reason.CALLER_LEFT
    await until(lambda: engine.ends)
    assert engine.ends == ["hang_up"]
    assert sound_card.closed


@pytest.mark.parametrize("steps", range(2))
async def test_a_room_that_closes_as_the_caller_comes_ends_the_call(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, steps: int
) -> None:
    room = FakeRoom()
    running = begin(room)
    await until(lambda: engine.in_calls)
    # Whoever waits for the caller hears of both at once.
    room.emit("disconnected", rtc.DisconnectReason.ROOM_DELETED)
    for _ in range(steps):
        await asyncio.sleep(0)
    room.enter(FakePerson("ada"))
    async with asyncio.timeout(60):
        assert await running is Reason.ROOM_CLOSED


async def test_the_call_waits_until_the_engine_has_heard_the_hang_up(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.parting_s = 0.1
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    room.speak(ada).say(tone(0))
    await until(lambda: engine.reports)
    room.leave(ada)
    await running
    assert engine.ends == ["hang_up"]


@pytest.mark.parametrize(
    ("disconnected", "reason", "end"),
    [
        (rtc.DisconnectReason.ROOM_DELETED, Reason.ROOM_CLOSED, "hang_up"),
        (rtc.DisconnectReason.ROOM_CLOSED, Reason.ROOM_CLOSED, "hang_up"),
        (rtc.DisconnectReason.PARTICIPANT_REMOVED, Reason.REMOVED, "hang_up"),
        (rtc.DisconnectReason.SIGNAL_CLOSE, Reason.CONNECTION_LOST, "connection_lost"),
        (rtc.DisconnectReason.CLIENT_INITIATED, Reason.WORKER_STOPPED, "connection_lost"),
    ],
)
async def test_a_closed_room_hangs_up_and_a_lost_one_does_not(
    engine: FakeEngine,
    begin: Begin,
    sound_card: FakeSource,
    disconnected: rtc.DisconnectReason.ValueType,
    reason: Reason,
    end: str,
) -> None:
    room = FakeRoom()
    running = begin(room)
    await until(lambda: engine.in_calls)
    room.emit("disconnected", disconnected)
    assert await running is reason
    await until(lambda: engine.ends)
    assert engine.ends == [end]


async def test_a_cancelled_call_does_not_hang_up(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    running = begin(FakeRoom(FakePerson("ada")))
    await until(lambda: engine.in_calls)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: engine.ends)
    assert engine.ends == ["connection_lost"]


async def test_a_full_engine_refuses_the_call(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.seats = 0
    running = begin(FakeRoom(FakePerson("ada")), IMPATIENT)
    assert await running is Reason.REFUSED


async def test_an_engine_that_is_not_there_is_lost_and_does_not_refuse(begin: Begin) -> None:
    async with EngineClient("ws://127.0.0.1:9") as nobody:
        assert await begin(FakeRoom(), IMPATIENT, engine=nobody) is Reason.ENGINE_LOST


async def test_words_and_states_are_published(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.words = {2: " I", 3: " hear", 4: " you", 5: "."}
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    me = room.local_participant
    begin(room)
    track = room.speak(ada)
    while len(engine.frames) < 20:
        heard = len(engine.frames)
        track.say(bytes(FRAME_BYTES))
        await until(partial(lambda heard: len(sound_card.played) > heard, heard))
    await until(lambda: me.segments and me.segments[0].closed)
    (segment,) = me.segments
    assert segment.text == "I hear you."
    assert segment.opened["lk.transcribed_track_id"] == "TR_agent"
    assert segment.opened["lk.transcription_final"] == "false"
    assert segment.closed == segment.opened | {"lk.transcription_final": "true"}
    await until(lambda: len(me.states) == 3)
    assert me.states == ["listening", "speaking", "listening"]


async def test_words_of_a_call_that_ends_are_published_too(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    engine.words = {0: " Good", 1: "bye"}
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    room.speak(ada).say(tone(0), tone(1))
    await until(lambda: len(sound_card.played) == 2 and room.local_participant.segments)
    room.leave(ada)
    await running
    (segment,) = room.local_participant.segments
    assert segment.text == "Goodbye"
    assert segment.closed is not None


async def test_every_answer_is_reported_with_its_times(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    sound_card.queued_duration = 0.030
    begin(room)
    room.speak(ada).say(tone(0), tone(1))
    await until(lambda: len(engine.reports) == 2)
    assert [report.frame for report in engine.reports] == [0, 1]
    assert all(0 < report.worker_us < 1_000_000 for report in engine.reports)
    assert [report.playout_us for report in engine.reports] == [30_000, 30_000]
    assert [report.jitter_us for report in engine.reports] == [None, None], "not known in the first second"


async def test_a_long_call_is_announced_and_ended(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom(FakePerson("ada"))
    running = begin(room, CallLimits(max_s=0.3, notice_s=0.2))
    await until(lambda: room.local_participant.segments)
    assert not running.done()
    (notice,) = room.local_participant.segments
    assert await running is Reason.MAX_TIME
    assert notice.text == "This call ends in 0.2 seconds."
    assert notice.closed is not None
    await until(lambda: engine.ends)
    assert engine.ends == ["hang_up"]


async def test_a_job_that_takes_over_a_call_gives_it_only_what_is_left_of_its_time(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "_LOOK_S", 0.01)
    engine.held["token"] = FakeSession("s0", number=round(3599 / FRAME_S))
    running = begin(
        FakeRoom(FakePerson("ada")), CallLimits(max_s=3600, notice_s=0.1), resume={"job1": "token"}
    )
    assert await asyncio.wait_for(running, 60) is Reason.MAX_TIME
    assert engine.resumes == 1


async def test_an_empty_room_does_not_use_up_the_time_of_the_call(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    running = begin(room, CallLimits(max_s=0.05))
    await asyncio.sleep(0.2)
    assert not running.done()
    room.enter(FakePerson("ada"))
    assert await running is Reason.MAX_TIME


async def test_a_call_to_which_nobody_comes_hangs_up(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    running = begin(FakeRoom(), CallLimits(max_s=3600, arrival_s=0.05))
    assert await asyncio.wait_for(running, 60) is Reason.NOBODY_CAME
    await until(lambda: engine.ends)
    assert engine.ends == ["hang_up"]


@pytest.mark.parametrize("trouble", [Exception("the SDK failed"), None], ids=["fails", "hangs"])
async def test_a_transcript_that_cannot_be_ended_does_not_turn_a_hang_up_into_a_failure(
    engine: FakeEngine,
    begin: Begin,
    sound_card: FakeSource,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception | None,
) -> None:
    async def aclose(_writer: FakeStreamWriter, *, attributes: dict[str, str]) -> None:
        await asyncio.sleep(0 if trouble else 3600)
        raise trouble or AssertionError

    monkeypatch.setattr(FakeStreamWriter, "aclose", aclose)
    monkeypatch.setattr(transcript, "FINISH_TIMEOUT_S", 0.05)
    engine.words = {0: " Goodbye"}
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    room.speak(ada).say(tone(0))
    await until(lambda: room.local_participant.segments)
    room.leave(ada)
    assert await asyncio.wait_for(running, 60) is Reason.CALLER_LEFT


async def test_a_microphone_that_is_published_again_is_heard_again(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    begin(room)
    first = room.speak(ada)
    first.say(tone(1))
    await until(lambda: engine.frames)
    room.speak(ada, FakePublication()).say(tone(2))
    await until(lambda: engine.frames == [tone(1), tone(2)])


async def test_an_engine_that_is_behind_costs_sound_and_not_lag(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    engine.stalled = True
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    with caplog.at_level("INFO", "worker"):
        running = begin(room)
        track = room.speak(ada)
        for number in range(20):
            track.say(tone(number))
            await asyncio.sleep(0.001)
        await until(lambda: len(engine.frames) == UNANSWERED_FRAMES)
        room.leave(ada)
        await running
    assert len(engine.frames) == UNANSWERED_FRAMES
    # One more was about to be sent, and of what was waiting the last one is kept.
    assert vars(caplog.records[-1])["late_frames"] == 20 - UNANSWERED_FRAMES - 1 - 1


async def test_the_log_says_when_a_call_began_and_how_it_ended_and_no_name(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    with caplog.at_level("INFO", "worker"):
        running = begin(room)
        room.speak(ada).say(tone(0))
        await until(lambda: engine.reports)
        room.leave(ada)
        await running
    began, ended = caplog.records
    assert (began.getMessage(), ended.getMessage()) == ("call began", "call ended")
    assert vars(began)["call"] == vars(ended)["call"] == "job1"
    assert vars(ended)["reason"] == "caller_left"
    assert vars(ended)["frames"] == 1
    assert "ada" not in str([vars(record) for record in caplog.records])
