"""Beside the test signals of ITU-R BS.1770-4 and EBU Tech 3341."""

import math

import numpy as np
import pytest

from engine.persona.loudness import Sound, levelled, loudness


def tone(seconds: float, db: float, rate: int = 48_000, hz: float = 1000.0) -> Sound:
    return 10 ** (db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_a_tone_of_997_hz_at_full_scale_is_3_below_zero(rate: int) -> None:
    assert loudness(tone(5, 0, rate, 997), rate) == pytest.approx(-3.01, abs=0.05)


def test_pauses_and_what_is_much_softer_than_the_rest_do_not_count() -> None:
    loud = loudness(tone(60, -23), 48_000)
    softly = [tone(10, -36), tone(60, -23), tone(10, -36)]
    silently = [tone(10, -75), tone(60, -23), np.zeros(480_000)]
    for parts in (softly, silently):
        assert loudness(np.concatenate(parts), 48_000) == pytest.approx(loud, abs=0.1)


def test_an_ear_hears_little_of_what_is_deep_and_more_of_what_is_high() -> None:
    middle, deep, high = (loudness(tone(5, -20, hz=hz), 48_000) for hz in (500, 30, 8000))
    assert deep < middle - 5
    assert high == pytest.approx(middle + 4, abs=0.7)


def test_a_level_is_reached_from_above_and_below() -> None:
    for db in (-3, -50):
        sound = levelled(tone(3, db, 24_000), 24_000, -24.0)
        assert loudness(sound, 24_000) == pytest.approx(-24.0, abs=0.01)


def test_silence_and_a_click_have_no_loudness_and_stay_as_they_are() -> None:
    for sound in (np.zeros(48_000), np.ones(100), np.zeros(0)):
        assert loudness(sound, 24_000) == -math.inf
        assert levelled(sound, 24_000, -24.0) is sound
