"""How loud a frame is."""

import math

import numpy as np

SILENCE_DB = -50.0
SPEECH_DB = -40.0


def level_db(pcm: bytes) -> float:
    """RMS of PCM s16le in dB below full scale; digital silence is -inf."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    power = float(np.mean(np.square(samples))) if len(samples) else 0.0
    return 10 * math.log10(power / 32768**2) if power else -math.inf
