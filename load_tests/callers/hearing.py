"""Finding what somebody said in what somebody heard: when it came, and how like it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE

Features = NDArray[np.float64]

HOP_S = 0.005
_HOP = round(HOP_S * SAMPLE_RATE)
_WINDOW = 480
_FFT = 512
_BANDS = 20
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 5000.0
_TINY = 1e-9
_LOUDNESS = 0.3
"""The exponent that turns power into something like loudness: silence is 0 and stays there."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best place: `at_s` seconds after the beginning, `similarity` -1 to 1."""

    at_s: float
    similarity: float


def features(pcm: NDArray[np.int16]) -> Features:
    """Loudness [T, bands] every HOP_S. pcm: int16 [N] at 24 kHz. Row t is centred on sample t * hop."""
    padded = np.pad(pcm.astype(np.float64) / 32768, (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: len(pcm) // _HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2
    return np.asarray((power @ _bank().T) ** _LOUDNESS)


def find(said: Features, heard: Features, apart_from: Features | None = None) -> Found:
    """Where in `heard` `said` is, of all places where it fits in whole; similarity 0 where none does.

    All as `features` makes them. The similarity is the correlation of what varies in each band; that of what
    is left of both when what is like `apart_from`, as long as `heard`, was taken out of them.
    """
    length = len(said)
    places = len(heard) - length + 1
    if places < 1:
        return Found(0.0, 0.0)
    pattern = said - said.mean(axis=0)
    product, size = _products(pattern, heard), _squares(heard, heard, length)
    own = float(np.square(pattern).sum())
    if apart_from is not None:
        # Partial correlation: of the three products that two vectors have with a third and with each other.
        of_third = 1 / np.maximum(_squares(apart_from, apart_from, length), _TINY)
        with_pattern, with_heard = _products(pattern, apart_from), _squares(heard, apart_from, length)
        product = product - with_pattern * with_heard * of_third
        size = size - np.square(with_heard) * of_third
        squared = np.maximum(0.0, own - np.square(with_pattern) * of_third) * np.maximum(0.0, size)
    else:
        squared = own * np.maximum(0.0, size)
    correlation = product / np.sqrt(np.maximum(squared, _TINY))
    best = int(correlation.argmax())
    return Found((best + _vertex(correlation, best)) * HOP_S, float(correlation[best]))


def _products(pattern: Features, sound: Features) -> NDArray[np.float64]:
    """Of the pattern with every stretch of the sound that is as long, [places]."""
    size = 1 << (len(sound) - 1).bit_length()
    spectrum = np.fft.rfft(sound, size, axis=0) * np.conj(np.fft.rfft(pattern, size, axis=0))
    return np.fft.irfft(spectrum.sum(axis=1), size)[: len(sound) - len(pattern) + 1]


def _squares(a: Features, b: Features, length: int) -> NDArray[np.float64]:
    """How much every stretch of this length varies together in the bands of both, [places]."""
    of_a, of_b, of_both = (np.cumsum(np.pad(each, ((1, 0), (0, 0))), axis=0) for each in (a, b, a * b))
    mean_a, mean_b, both = (each[length:] - each[:-length] for each in (of_a, of_b, of_both))
    return np.asarray((both - mean_a * mean_b / length).sum(axis=1))


def _vertex(values: NDArray[np.float64], peak: int) -> float:
    """Where between the neighbours of a peak a parabola through all three has its top, -0.5 to 0.5."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    before, top, after = values[peak - 1 : peak + 2]
    bend = before - 2 * top + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _bank() -> NDArray[np.float64]:
    """Triangles over the frequencies of a transform, as wide as the ear's are, [bands, bins]."""
    mel = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    low, middle, high = (edges[n : n + _BANDS, None] for n in range(3))
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))
