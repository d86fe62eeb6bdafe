import math

from engine.step.frames import FRAME_S
from worker.sound.half_duplex import HANGOVER_S, HalfDuplex

LOUD, QUIET = -20.0, -60.0
SAID = b"\1\2" * 4


def test_nothing_is_heard_while_the_agent_is_and_shortly_after() -> None:
    guard = HalfDuplex()
    assert guard.hears(SAID, 0.0) == SAID
    for number in range(5):
        guard.played(LOUD, 1.0 + number * FRAME_S)
    end = 1.0 + 5 * FRAME_S
    assert guard.hears(SAID, 0.9) == SAID, "what is queued is not heard yet"
    assert guard.hears(SAID, 1.0) == guard.hears(SAID, end + HANGOVER_S - 0.01) == bytes(len(SAID))
    assert guard.hears(SAID, end + HANGOVER_S + 0.01) == SAID


def test_an_agent_that_plays_silence_is_not_heard() -> None:
    guard = HalfDuplex()
    guard.played(QUIET, 1.0)
    guard.played(-math.inf, 1.08)
    assert guard.hears(SAID, 1.1) == SAID


def test_it_closes_again_when_the_agent_speaks_again() -> None:
    guard = HalfDuplex()
    guard.played(LOUD, 1.0)
    guard.played(LOUD, 9.0)
    assert guard.hears(SAID, 5.0) == SAID
    assert guard.hears(SAID, 9.0) == bytes(len(SAID))
