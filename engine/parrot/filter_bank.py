"""A tree of complex band filters between 200 Hz and 24 kHz, held by strided convolutions.

A band at a slow rate is a pair of channels, real and imaginary part of the analytic signal near a centre f.
To get from the slow rate to one `stride` times faster, a sample is turned at f for as long as it lasts and
faded linearly into the next: a triangle of length 2 x stride times exp(2 pi i f t), which is just what one
transposed convolution with kernel 2 x stride holds. Neighbouring bands add up in a wider band of the next
level, whose centre lies between theirs. Read backwards, as an ordinary convolution with the same weights, the
tree takes sound apart: a real matrix transposed is the complex one conjugated, so every step multiplies by
exp(-2 pi i f t).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.parrot.carriers import BANDS_HZ, Floats
from engine.parrot.shape import FILTERS

Complexes = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class FilterBank:
    """The three levels as transposed convolutions, float64 [slow channels, fast channels, 2 x stride].

    `groups_1200` lists the bands at 200 Hz that share a band at 1200 Hz, `centres_1200` those bands' centres
    in Hz. The last two slow channels of each are free: constant channels stand there (see elu.py).
    """

    from_200: Floats
    from_1200: Floats
    from_6000: Floats
    groups_1200: list[range]
    centres_1200: Floats

    def band_at_1200(self, band: int) -> int:
        """Index of the 1200 Hz band that holds `band` of 200 Hz."""
        return next(index for index, group in enumerate(self.groups_1200) if band in group)


def filter_bank() -> FilterBank:
    """The tree over `BANDS_HZ`."""
    from_200 = np.zeros((8 * FILTERS, 4 * FILTERS, 12))
    groups_1200 = group(BANDS_HZ, 2 * FILTERS - 1)
    centres_1200 = _centres(BANDS_HZ, groups_1200)
    for wide, members in enumerate(groups_1200):
        for band in members:
            add_complex_product(from_200, band, wide, interpolator(BANDS_HZ[band], 1200, 6))

    from_1200 = np.zeros((4 * FILTERS, 2 * FILTERS, 10))
    groups_6000 = group(centres_1200, FILTERS - 1)
    for wide, members in enumerate(groups_6000):
        for band in members:
            add_complex_product(from_1200, band, wide, interpolator(centres_1200[band], 6000, 5))

    from_6000 = np.zeros((2 * FILTERS, FILTERS, 8))
    for band, centre in enumerate(_centres(centres_1200, groups_6000)):
        kernel = interpolator(centre, 24_000, 4)
        from_6000[2 * band, 0], from_6000[2 * band + 1, 0] = kernel.real, -kernel.imag
    return FilterBank(from_200, from_1200, from_6000, groups_1200, centres_1200)


def interpolator(frequency_hz: float, fast_rate_hz: float, stride: int) -> Complexes:
    """The kernel [2 x stride] that takes a band at `frequency_hz` to a rate `stride` times faster."""
    t = np.arange(2 * stride) - stride
    kernel: Complexes = (1 - np.abs(t) / stride) * np.exp(2j * np.pi * frequency_hz * t / fast_rate_hz)
    return kernel


def droop(offset_hz: float, slow_rate_hz: float) -> float:
    """What `interpolator` leaves of a tone `offset_hz` off its centre: a triangle's spectrum, sinc^2."""
    return float(np.sinc(offset_hz / slow_rate_hz) ** 2)


def add_complex_product(weights: Floats, source: int, target: int, kernel: Complexes) -> None:
    """Let channel pair `source` times `kernel` flow into pair `target` of `weights` [in, out, kernel]."""
    weights[2 * source, 2 * target] += kernel.real
    weights[2 * source + 1, 2 * target] -= kernel.imag
    weights[2 * source, 2 * target + 1] += kernel.imag
    weights[2 * source + 1, 2 * target + 1] += kernel.real


def group(frequencies_hz: Floats, most: int) -> list[range]:
    """Neighbours joined into at most `most` groups, the widest of which is as narrow as it can be."""
    widths = np.unique(frequencies_hz[None] - frequencies_hz[:, None])
    candidates = (_groups_within(frequencies_hz, width) for width in widths[widths >= 0])
    return next(groups for groups in candidates if len(groups) <= most)


def _groups_within(frequencies_hz: Floats, width_hz: float) -> list[range]:
    starts = [0]
    for index, frequency in enumerate(frequencies_hz):
        if frequency - frequencies_hz[starts[-1]] > width_hz:
            starts.append(index)
    return [range(start, end) for start, end in pairwise([*starts, len(frequencies_hz)])]


def _centres(frequencies_hz: Floats, groups: list[range]) -> Floats:
    return np.array([(frequencies_hz[g[0]] + frequencies_hz[g[-1]]) / 2 for g in groups])
