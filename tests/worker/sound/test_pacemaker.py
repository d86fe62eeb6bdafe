import pytest

from engine.step.frames import FRAME_S
from worker.sound.pacemaker import FIRST_S, MISSING_S, Pacemaker


@pytest.fixture
def pace() -> Pacemaker:
    """Somebody came at second 0, and a frame of theirs at second 1."""
    pace = Pacemaker()
    pace.expect(0.0)
    assert pace.arrived(1.0)
    return pace


def silence(pace: Pacemaker, until: float) -> list[float]:
    """When silence was heard, by somebody who looks whenever they should."""
    heard = []
    while pace.due_at <= until:
        now = pace.due_at
        if pace.is_missing(now):
            heard.append(now)
    return heard


def test_frames_that_come_in_time_are_all_there_is(pace: Pacemaker) -> None:
    for number in range(1, 100):
        now = 1.0 + number * FRAME_S
        assert not pace.is_missing(now)
        assert pace.arrived(now)


def test_one_who_has_no_microphone_is_silence_after_a_while() -> None:
    pace = Pacemaker()
    pace.expect(5.0)
    heard = silence(pace, until=5.01 + FIRST_S + 10 * FRAME_S)
    assert heard == pytest.approx([5.0 + FIRST_S + number * FRAME_S for number in range(11)])


def test_missing_sound_is_silence_at_the_pace_of_sound(pace: Pacemaker) -> None:
    heard = silence(pace, until=3.0)
    assert heard[0] == pytest.approx(1.0 + MISSING_S)
    assert len(heard) == round((3.0 - heard[0]) / FRAME_S)


def test_sound_that_is_only_late_is_heard_whole(pace: Pacemaker) -> None:
    burst_at = 1.0 + MISSING_S - 0.01
    assert not pace.is_missing(burst_at)
    assert all(pace.arrived(burst_at) for _ in range(3))


def test_sound_that_comes_after_silence_was_heard_in_its_place_is_not(pace: Pacemaker) -> None:
    silence(pace, until=2.0)
    assert pace.arrived(2.0)
    assert not any(pace.arrived(2.001) for _ in range(9)), "these belong to the second that is over"
    assert pace.arrived(2.0 + FRAME_S)
    assert pace.arrived(2.0 + FRAME_S), "that was long enough ago to count as late by chance"


def test_who_stood_still_themselves_looks_first_at_what_has_come_meanwhile(pace: Pacemaker) -> None:
    awake_again = 4.0
    assert not pace.is_missing(awake_again)
    assert all(pace.arrived(awake_again) for _ in range(5))
    assert not pace.is_missing(awake_again + FRAME_S)


def test_while_nobody_is_there_nothing_is_missing(pace: Pacemaker) -> None:
    pace.rest()
    assert silence(pace, until=100.0) == []
    assert pace.arrived(100.0)
    assert silence(pace, until=200.0) == [], "somebody who is not expected may still be heard"
