"""How long after it was said something comes back, from the sound alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.level import SPEECH_DB
from engine.step.frames import SAMPLE_RATE

_HOP_S = 0.01
_HOP = round(SAMPLE_RATE * _HOP_S)


@dataclass(frozen=True, slots=True)
class Echo:
    """What is heard follows what was said `lag_s` later; `correlation` of the envelopes then, at most 1."""

    lag_s: float
    correlation: float


def envelope(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """RMS of every 10 ms, full scale 1. pcm: int16 [N] at 24 kHz."""
    hops = pcm[: len(pcm) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float64) / 32768
    rms: NDArray[np.float64] = np.sqrt(np.mean(np.square(hops), axis=1))
    return rms


def find_echo(said: NDArray[np.int16], heard: NDArray[np.int16]) -> Echo:
    """The lag at which the two envelopes agree best, of those at which all that was said can have come back.

    Both int16 [N] at 24 kHz, begun at the same moment.
    """
    spoken, answered = envelope(said), envelope(heard)
    best = Echo(0.0, 0.0)
    for lag in range(len(answered) - len(spoken) + 1):
        correlation = _correlation(spoken, answered[lag : lag + len(spoken)])
        if correlation > best.correlation:
            best = Echo(lag * _HOP_S, correlation)
    return best


def first_sound_s(pcm: NDArray[np.int16]) -> float | None:
    """Seconds to the first 10 ms that is as loud as speech; None if there is none."""
    loud = np.flatnonzero(envelope(pcm) > 10 ** (SPEECH_DB / 20))
    return float(loud[0]) * _HOP_S if len(loud) else None


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0
