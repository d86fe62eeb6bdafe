"""What programs call sound, as the frames that models take."""

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_SAMPLES

Samples = NDArray[np.int16] | NDArray[np.floating]
"""24 kHz mono: int16, or floating in -1..1."""


def as_frames(sound: Samples) -> NDArray[np.int16]:
    """int16 [T, 1920] from [N], the end padded with silence, or from [T, 1920]. Raises ValueError."""
    if sound.ndim != 1 and not (sound.ndim == 2 and sound.shape[1] == FRAME_SAMPLES):
        raise ValueError(
            f"sound of shape {sound.shape}: give mono samples [N] or frames [T, {FRAME_SAMPLES}]"
        )
    if not sound.size:
        raise ValueError("there is no sound: give at least one sample")
    pcm = _as_int16(sound).reshape(-1)
    return np.pad(pcm, (0, -len(pcm) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)


def as_frame(sound: Samples) -> NDArray[np.int16]:
    """int16 [1920]. Raises ValueError for any other length."""
    if sound.shape != (FRAME_SAMPLES,):
        raise ValueError(f"sound of shape {sound.shape}: a frame is {FRAME_SAMPLES} samples, 80 ms at 24 kHz")
    return _as_int16(sound)


def _as_int16(sound: Samples) -> NDArray[np.int16]:
    if sound.dtype == np.int16:
        return sound.astype(np.int16, copy=False)
    if not np.issubdtype(sound.dtype, np.floating):
        raise ValueError(f"samples of type {sound.dtype}: give int16, or floats in -1..1")
    if not np.isfinite(sound).all():
        raise ValueError("samples that are no numbers (NaN or infinite): give floats in -1..1")
    return (sound * 32768).round().clip(-32768, 32767).astype(np.int16)
