"""When what was heard was what had been said, with sound whose every moment is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE
from load_tests.callers.hearing import HOP_S
from load_tests.faults.echo_track import WINDOW_S, track

DELAY_S = 1.0
LATEST_S = 6.0
SECONDS = 20.0
EXACT_S = 0.2

Sound = NDArray[np.int16]


def voice(seed: int, seconds: float = SECONDS) -> Sound:
    """Something like speech: a tone whose pitch and loudness are others every 80 ms."""
    random = np.random.default_rng(seed)
    syllable = round(0.08 * SAMPLE_RATE)
    count = round(seconds * SAMPLE_RATE / syllable)
    at = np.arange(syllable) / SAMPLE_RATE
    parts = [
        random.uniform(0.2, 1.0) * np.sin(2 * np.pi * random.uniform(200, 3000) * at) for _ in range(count)
    ]
    return np.asarray(8000 * np.concatenate(parts), np.int16)


def later(sound: Sound, seconds: float) -> Sound:
    """As long as before, and so much later."""
    silence = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    return np.concatenate([silence, sound])[: len(sound)]


def gaps(said: Sound, heard: Sound, first_s: float = 2.0) -> list[tuple[float, float]]:
    """In seconds; without those at both ends, which belong to the recording."""
    found = track(said, heard, DELAY_S, LATEST_S)
    rows = found.gaps(round(first_s / HOP_S), len(found.heard) - round(WINDOW_S / HOP_S))
    return [(begin * HOP_S, end * HOP_S) for begin, end in rows]


def test_an_echo_without_faults_has_no_gap() -> None:
    said = voice(1)
    assert gaps(said, later(said, DELAY_S)) == []


@pytest.mark.parametrize("hole_s", [0.5, 1.0, 4.0])
def test_a_hole_is_as_long_as_it_is(hole_s: float) -> None:
    said = voice(1)
    heard = later(said, DELAY_S)
    begin = 10 * SAMPLE_RATE
    heard[begin : begin + round(hole_s * SAMPLE_RATE)] = 0
    ((at_s, to_s),) = gaps(said, heard)
    assert at_s == pytest.approx(10, abs=EXACT_S)
    assert to_s - at_s == pytest.approx(hole_s, abs=EXACT_S)


def test_who_was_away_hears_what_they_had_said_before_and_that_is_an_echo_too() -> None:
    said = voice(1)
    heard = later(said, DELAY_S)
    away = np.zeros(3 * SAMPLE_RATE, np.int16)
    cut = 10 * SAMPLE_RATE
    heard = np.concatenate([heard[:cut], away, heard[cut:]])[: len(said)]
    ((at_s, to_s),) = gaps(said, heard)
    assert at_s == pytest.approx(10, abs=EXACT_S)
    assert to_s == pytest.approx(13, abs=EXACT_S)


def test_sound_that_is_not_what_was_said_is_a_gap() -> None:
    said, clip = voice(1), voice(2, 3.0)
    heard = later(said, DELAY_S)
    heard[10 * SAMPLE_RATE :][: len(clip)] = clip
    ((at_s, to_s),) = gaps(said, heard)
    assert to_s - at_s == pytest.approx(3, abs=2 * EXACT_S)


def test_somebody_elses_words_are_no_echo() -> None:
    assert not track(voice(1), later(voice(2), DELAY_S), DELAY_S, LATEST_S).heard.any()
