"""How a voice becomes louder or softer: never at once, because that is heard as a click."""

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE


def glide(gain: float, target: float, samples: int, fade_s: float) -> NDArray[np.float64]:
    """The gain of each of the next samples, float64 [samples], after one that had `gain`.

    It moves towards `target`, as fast as from silence to full in `fade_s` seconds, and stays there.
    """
    way = np.arange(1, samples + 1) / (fade_s * SAMPLE_RATE)
    return np.minimum(gain + way, target) if target > gain else np.maximum(gain - way, target)
