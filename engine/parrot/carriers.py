"""The sinusoids that the vocoder speaks with, and the bands in which the filter bank carries them.

Up to 900 Hz a carrier stands every 25 Hz, close enough to resolve the harmonics of a voice; above, they thin
out as hearing does. Multiples of 25 Hz repeat their phase with every column of the 25 Hz codec, so that a
carrier's phase is a constant of the weights.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW_HZ: Floats = np.arange(100.0, 901.0, 25.0)
MID_HZ: Floats = np.array([950.0, 1000, 1050, 1100, 1150, 1200, 1275, 1350, 1425, 1500])
HIGH_HZ: Floats = np.fromstring(
    """
    1600 1700 1800 1900 2000 2125 2250 2375 2525 2675 2825 3000 3175 3350
    3550 3775 4000 4225 4475 4725 5000 5275 5575 5900 6225 6575 6950 7350
    """,
    sep=" ",
)
CARRIERS_HZ: Floats = np.concatenate([LOW_HZ, MID_HZ, HIGH_HZ])
CARRIERS = len(CARRIERS_HZ)
COHERENT = len(LOW_HZ) + len(MID_HZ)
"""The first so many carriers are measured through an 80 ms window, the others in wider bands."""

# Random, so that the peaks do not fall together; the legacy generator, because its stream is frozen.
PHASES: Floats = np.random.RandomState(7).rand(CARRIERS) * 2 * np.pi

ANALYSERS_HZ: Floats = np.arange(100.0, 1576.0, 25.0)
"""Where the encoder looks with an 80 ms window; neighbours are pooled where carriers are wider apart."""

WIDE_BANDS_HZ: Floats = np.arange(125.0, 1551.0, 75.0)
"""Centres of the bands at 200 Hz that hold up to three low or middle carriers each, at most 25 Hz away."""

BANDS_HZ: Floats = np.concatenate([WIDE_BANDS_HZ, HIGH_HZ])
"""Centres of all bands at 200 Hz; a high carrier has one for itself."""


def wide_band(frequency_hz: float) -> int:
    """Index of the wide band that holds `frequency_hz`."""
    return int(np.abs(WIDE_BANDS_HZ - frequency_hz).argmin())
