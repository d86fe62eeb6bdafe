import pytest

from worker.room.line import LOOK_S, LOST_AFTER_S, Line

NOW = 1_000_000.0
DTX_S = 0.42
"""From one packet to the next while nobody speaks, as it was measured with the SDK's DTX."""


def look(line: Line, silent_s: float, *, muted: bool = False, now: float = NOW) -> bool:
    line.look(now, now - silent_s, muted=muted)
    return line.works


def test_whoever_sends_has_a_line() -> None:
    assert look(Line(), 0.02)


def test_silence_and_a_few_lost_packets_of_it_are_no_lost_line() -> None:
    assert look(Line(), 3 * DTX_S)


def test_no_packet_for_over_a_second_is_a_lost_line_until_one_comes() -> None:
    line = Line()
    assert not look(line, LOST_AFTER_S)
    assert not look(line, 60.0)
    assert look(line, 0.1)


def test_nobody_has_lost_a_line_on_which_nothing_has_come_yet() -> None:
    line = Line()
    line.look(NOW, 0.0, muted=False)
    assert line.works


def test_a_muted_microphone_is_no_lost_line_and_neither_is_one_that_was_just_opened() -> None:
    line, packet_at = Line(), NOW
    for after_s, muted in ((0.1, True), (5.0, True), (30.0, True), (30.1, False), (31.0, False)):
        line.look(NOW + after_s, packet_at, muted=muted)
        assert line.works
    line.look(NOW + 31.2, NOW + 31.1, muted=False)
    assert line.works
    line.look(NOW + 33.0, NOW + 31.1, muted=False)
    assert not line.works


def test_it_is_looked_at_when_it_could_be_lost_and_more_often_while_it_is() -> None:
    assert Line().look(NOW, NOW - 0.3, muted=False) == pytest.approx(LOST_AFTER_S - 0.3)
    assert Line().look(NOW, NOW - 9.0, muted=False) == LOOK_S
