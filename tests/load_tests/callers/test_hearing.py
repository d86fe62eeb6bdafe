import numpy as np
import pytest
from numpy.typing import NDArray

from load_tests.callers.hearing import HOP_S, features, find
from load_tests.callers.measure import CAME_BACK, LEAKED
from load_tests.callers.speech import Voice, sentence, spoken

RATE = 24_000


def utterance(seed: int) -> NDArray[np.int16]:
    random = np.random.default_rng(seed)
    voice = Voice.any(random)
    return spoken(sentence(random), voice)[::2]


def heard(said: NDArray[np.int16], after_s: float, level: float = 1.0) -> NDArray[np.float64]:
    """As if through a line: later, softer, with noise, for four seconds more than was said."""
    random = np.random.default_rng(1)
    sound = random.normal(0, 20, len(said) + 4 * RATE)
    begin = round(after_s * RATE)
    sound[begin : begin + len(said)] += level * said
    return sound


def as_pcm(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(sound, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("after_s", [0.0, 0.1503, 1.234, 3.5])
def test_what_was_said_is_found_when_it_comes_back(after_s: float) -> None:
    said = utterance(3)
    found = find(features(said), features(as_pcm(heard(said, after_s, level=0.5))))
    assert found.at_s == pytest.approx(after_s, abs=0.001)
    assert found.similarity > 0.95


def test_what_somebody_else_said_is_not_taken_for_it() -> None:
    said = [features(utterance(seed)) for seed in range(5)]
    others = [
        find(mine, features(as_pcm(heard(utterance(other), 1.0)))).similarity
        for number, mine in enumerate(said)
        for other in range(5)
        if other != number
    ]
    assert max(others) < LEAKED


def test_a_second_voice_is_heard_through_the_first() -> None:
    mine, theirs = utterance(1), utterance(2)
    own = heard(mine, 1.0)
    both = own.copy()
    both[RATE : RATE + len(theirs)] += theirs[: len(both) - RATE]
    expected = features(as_pcm(own))
    assert find(features(theirs), features(as_pcm(both)), expected).similarity > LEAKED
    assert find(features(theirs), features(as_pcm(own)), expected).similarity < LEAKED / 2


def test_nothing_is_found_in_silence_or_in_too_little_sound() -> None:
    said = features(utterance(1))
    assert find(said, np.zeros((len(said) + 100, said.shape[1]))).similarity < CAME_BACK / 2
    assert find(said, said[: len(said) - 1]).similarity == 0


def test_rows_lie_where_they_say() -> None:
    click = np.zeros(RATE, np.int16)
    click[RATE // 2] = 20_000
    loudness = features(click).sum(axis=1)
    rows = np.flatnonzero(loudness > 0)
    assert rows.mean() * HOP_S == pytest.approx(0.5, abs=HOP_S / 2)
