"""What the log line of a call tells of it, and its diary."""

from collections.abc import Mapping

import pytest

from tests.fake_engine import FakeEngine
from tests.worker.calls import Begin, tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.room import call as call_module
from worker.watching.diary import Diary, Event, Fact


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Event, Mapping[str, Fact]]]:
    """What the diaries of calls are told."""
    told: list[tuple[Event, Mapping[str, Fact]]] = []
    monkeypatch.setattr(call_module, "Diary", lambda: Diary(lambda event, facts: told.append((event, facts))))
    return told


async def test_the_life_of_a_call_is_in_its_diary_and_its_numbers_in_one_line(
    engine: FakeEngine,
    begin: Begin,
    sound_card: FakeSource,
    told: list[tuple[Event, Mapping[str, Fact]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "worker")
    ada, room = FakePerson("ada"), FakeRoom()
    running = begin(room)
    room.enter(ada)
    track = room.speak(ada)
    track.say(tone(1))
    await until(lambda: engine.reports)
    await engine.drop()
    await until(lambda: engine.resumes)
    room.emit("reconnected")
    room.leave(ada)
    await running
    events = [event for event, _ in told]
    assert events[0] is Event.JOINED
    assert events[-1] is Event.ENDED
    assert set(events) == {
        Event.JOINED, Event.CALLER_CAME, Event.SESSION_BEGAN, Event.FIRST_ANSWER, Event.ENGINE_LOST,
        Event.RESUMED, Event.ROOM_RECONNECTED, Event.ENDED,
    }  # fmt: skip
    (line,) = [vars(record) for record in caplog.records if record.message == "call ended"]
    facts = dict(told[-1][1])
    assert {name: line[name] for name in facts} == facts, "the span has what the line has"
    assert (facts["engine_lost"], facts["resumed"], facts["room_reconnected"]) == (1, 1, 1)
    assert 0 <= float(facts["wait_p50_ms"]) <= float(facts["wait_p99_ms"])
    assert {"first_answer_ms", "queue_p95_ms", "step_p95_ms", "worker_p95_ms", "seconds", "reason"} <= set(
        facts
    )
    assert "ada" not in str(told)
    assert "lobby" not in str(told)
