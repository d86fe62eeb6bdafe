from collections.abc import Mapping

from worker.watching.diary import Diary, Event, Fact


def test_everybody_who_reads_is_told_at_once() -> None:
    told: list[tuple[Event, Mapping[str, Fact]]] = []
    diary = Diary(lambda event, facts: told.append((event, facts)))
    diary.note(Event.MOVED, engine="b")
    diary.note_first(Event.FIRST_ANSWER)
    diary.note_first(Event.FIRST_ANSWER)
    assert told == [(Event.MOVED, {"engine": "b"}), (Event.FIRST_ANSWER, {})]


def test_the_summary_has_the_wait_for_the_first_answer_and_what_was_in_the_way() -> None:
    now = 10.0
    diary = Diary(clock=lambda: now)
    assert diary.summary() == {}
    diary.note(Event.CALLER_CAME)
    now = 10.25
    diary.note(Event.FIRST_ANSWER)
    for _ in range(2):
        diary.note(Event.CALLER_AWAY)
    assert diary.summary() == {"first_answer_ms": 250, "caller_away": 2}
