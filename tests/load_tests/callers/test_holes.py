import numpy as np
from numpy.typing import NDArray

from load_tests.callers.holes import holes

RATE = 24_000
PAUSE = slice(round(0.8 * RATE), round(0.9 * RATE))


def speech() -> NDArray[np.int16]:
    """Two seconds of noise with a pause of 100 ms."""
    sound = np.random.default_rng(0).normal(0, 3000, 2 * RATE)
    sound[PAUSE] = 0
    return sound.astype(np.int16)


def with_hole(at_s: float, lasts_s: float) -> NDArray[np.int16]:
    heard = speech()
    heard[round(at_s * RATE) : round((at_s + lasts_s) * RATE)] = 0
    return heard


def test_pauses_of_the_speaker_are_no_holes() -> None:
    assert holes(speech(), speech()) == ()


def test_a_hole_is_found_with_its_length() -> None:
    (hole,) = holes(speech(), with_hole(1.4, 0.12))
    assert abs(hole - 120) <= 10


def test_a_pause_that_is_longer_than_it_was_is_a_hole_by_what_it_is_longer() -> None:
    (hole,) = holes(speech(), with_hole(0.9, 0.06))
    assert abs(hole - 60) <= 10


def test_what_nobody_would_hear_is_none() -> None:
    assert holes(speech(), with_hole(1.4, 0.03)) == ()


def test_silence_at_the_ends_is_none() -> None:
    assert holes(speech(), with_hole(1.5, 0.5)) == ()
