"""A voice that is too quiet or too loud brought near one level, slowly; its peaks stay below full scale."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_S, SAMPLE_RATE

LOUD_DB = -19.0
"""RMS of the louder frames of speech, as browsers' automatic gain gives it, and Moshi speaks."""
LEFT_ALONE_DB = 4.0
"""Whoever is no further from that is not touched."""
CEILING = round(32768 * 10 ** (-2 / 20))
"""No sample is further from zero: what makes 8 kHz of it again overshoots by a little."""
_ABOVE_NOISE_DB = 9.0
_LEAST_SPEECH_DB = -60.0
_NOISE_RISES_DB = 1.0 * FRAME_S
_LOUDER = 0.5
"""Of what a frame is louder than those before it, this share is believed at once."""
_QUIETER_DB = 6.0 * FRAME_S
_RISE_DB, _FALL_DB = 6.0 * FRAME_S, 20.0 * FRAME_S
_BLOCK = round(0.005 * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far down and how far up the gain may go, in dB."""

    least_db: float
    most_db: float


FROM_TELEPHONE = Bounds(-10.0, 18.0)
"""A telephone line loses up to 20 dB (ITU-T G.121); what is quieter still is noise for the greater part."""


class Leveller:
    """`levelled` frame by frame. The gain follows the level of speech alone and stands still between words:
    pauses and hiss are never turned up. Pure.
    """

    def __init__(self, bounds: Bounds = FROM_TELEPHONE) -> None:
        self.gain_db = 0.0
        self._bounds = bounds
        self._noise_db = _LEAST_SPEECH_DB
        self._loud_db = LOUD_DB
        self._last = 1.0

    def levelled(self, pcm: bytes) -> bytes:
        """A frame of 80 ms, PCM s16le mono 24 kHz."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        self._follow(samples)
        wanted = 10 ** (self.gain_db / 20)
        gains = np.interp(np.arange(len(samples)), [0, len(samples)], [self._last, wanted]).astype(np.float32)
        self._last = wanted
        return _limited(samples * gains).astype("<i2").tobytes()

    def _follow(self, samples: NDArray[np.float32]) -> None:
        power = float(np.mean(np.square(samples))) / 32768**2
        level = max(10 * math.log10(power), -100.0) if power else -100.0
        if level < self._noise_db:
            self._noise_db = level
        else:
            self._noise_db += _NOISE_RISES_DB
        self._noise_db = max(self._noise_db, -90.0)
        if level < max(self._noise_db + _ABOVE_NOISE_DB, _LEAST_SPEECH_DB):
            return
        louder = level - self._loud_db
        self._loud_db += louder * _LOUDER if louder > 0 else -_QUIETER_DB
        away = LOUD_DB - self._loud_db
        beyond = math.copysign(max(abs(away) - LEFT_ALONE_DB, 0.0), away)
        wanted = min(max(beyond, self._bounds.least_db), self._bounds.most_db)
        self.gain_db += min(max(wanted - self.gain_db, -_FALL_DB), _RISE_DB)


def _limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turned down around each peak above CEILING, block by block, with no step between blocks."""
    if not len(samples) or float(np.abs(samples).max()) <= CEILING:
        return samples
    blocks = -(-len(samples) // _BLOCK)
    padded = np.pad(np.abs(samples), (0, blocks * _BLOCK - len(samples)))
    gains = np.minimum(1.0, CEILING / np.maximum(padded.reshape(blocks, _BLOCK).max(axis=1), 1.0))
    # At the edge between two blocks that of the louder one: the line from edge to edge lies below both.
    edges = np.minimum(np.append(gains, gains[-1]), np.append(gains[0], gains))
    at = np.minimum(np.arange(blocks + 1) * _BLOCK, len(samples))
    return np.asarray(samples * np.interp(np.arange(len(samples)), at, edges), np.float32)
