"""Holes in an utterance that came back, which a jitter buffer or an empty track has left there as silence."""

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE

AUDIBLE_S = 0.04
_HOP_S = 0.005
_HOP = round(_HOP_S * SAMPLE_RATE)
_SILENT_SAID_DB, SILENT_HEARD_DB = -45.0, -55.0
_NEAR_S = 0.15


def holes(said: NDArray[np.int16], heard: NDArray[np.int16]) -> tuple[float, ...]:
    """Milliseconds by which silences in `heard` are longer than any near it in `said`, if AUDIBLE_S or more.

    Both int16 [N] at 24 kHz, laid so that they agree. Only between the first and the last sound in `heard`.
    """
    pauses = runs(level_db(said) < _SILENT_SAID_DB)
    near = round(_NEAR_S / _HOP_S)
    found = []
    for begin, end in runs(level_db(heard) < SILENT_HEARD_DB):
        if begin == 0 or end == len(heard) // _HOP:
            continue
        of_said = [to - at for at, to in pauses if at < end + near and to > begin - near]
        excess_s = (end - begin - max(of_said, default=0)) * _HOP_S
        if excess_s >= AUDIBLE_S:
            found.append(1000 * excess_s)
    return tuple(found)


def level_db(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """Of every 5 ms of int16 [N] at 24 kHz, full scale 0."""
    hops = pcm[: len(pcm) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float64) / 32768
    return np.asarray(10 * np.log10(np.mean(np.square(hops), axis=1) + 1e-12))


def runs(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each stretch that is true."""
    edges = np.flatnonzero(np.diff(np.pad(true.astype(np.int8), 1)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
