"""Sounds by which a caller can be told from all others, and how much of each is in a recording."""

import numpy as np
from numpy.typing import NDArray

from worker.caller.caller import SPEAKING_RATE

# Far enough from each other, and each a tone that `parrot` and Opus keep.
TONES_HZ = (400, 700, 1200, 3000)
PHRASE_S = 3.0
PAUSE_S = 1.5


def keyed_phrases(
    frequency_hz: float, count: int, pause_s: float = PAUSE_S, phrase_s: float = PHRASE_S
) -> list[NDArray[np.int16]]:
    """Phrases of a tone that comes and goes at random and never gone for long, each with a pause after it.

    int16 [N] at SPEAKING_RATE. The patterns belong to the tone: the envelope of one is not that of another.
    """
    random = np.random.default_rng(round(frequency_hz))
    return [_keyed_phrase(frequency_hz, phrase_s, pause_s, random) for _ in range(count)]


def _keyed_phrase(
    frequency_hz: float, phrase_s: float, pause_s: float, random: np.random.Generator
) -> NDArray[np.int16]:
    envelope = np.zeros(0)
    while len(envelope) < phrase_s * SPEAKING_RATE:
        on_s, off_s = random.choice([0.2, 0.3, 0.4]), random.choice([0.1, 0.2])
        envelope = np.concatenate([envelope, _constant(1.0, on_s), _constant(0.0, off_s)])
    envelope = np.concatenate([envelope, _constant(0.0, pause_s)])
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(len(envelope)) / SPEAKING_RATE)
    return np.asarray(0.2 * 32767 * envelope * tone, np.int16)


def _constant(value: float, seconds: float) -> NDArray[np.float64]:
    return np.full(round(seconds * SPEAKING_RATE), value)


def share(pcm: NDArray[np.int16], frequency_hz: float, rate: int = 24_000) -> float:
    """How much of a recording's energy lies within 6 % of a tone, 0 to 1."""
    power = np.abs(np.fft.rfft(pcm.astype(np.float64))) ** 2
    frequencies = np.fft.rfftfreq(len(pcm), 1 / rate)
    near = np.abs(frequencies - frequency_hz) < 0.06 * frequency_hz
    audible = frequencies > 50
    return float(power[near].sum() / power[audible].sum())
