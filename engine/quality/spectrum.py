"""How far apart two sounds are."""

import numpy as np
from numpy.typing import NDArray

_WINDOW, _HOP = 1024, 480
_QUIETEST = 1e-6
"""Of the loudest power: what is quieter counts as this, for nobody hears it."""


def spectral_distance_db(sound: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Log-spectral distance of two sounds of one length, int16 [N]: the root mean square over frequencies,
    averaged over time.
    """
    loudest = max(_power(sound).max(), _power(other).max(), 1.0)
    first, second = (10 * np.log10(np.maximum(_power(s), _QUIETEST * loudest)) for s in (sound, other))
    return float(np.sqrt(np.square(first - second).mean(axis=1)).mean())


def _power(sound: NDArray[np.int16]) -> NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), _WINDOW)[::_HOP]
    return np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW))))
