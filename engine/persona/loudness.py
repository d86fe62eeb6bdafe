"""How loud a recording is to an ear (ITU-R BS.1770-4): in LUFS, weighted by frequency, pauses left out."""

import math

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]

_BLOCK_S = 0.4
_HOP_S = 0.1
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0
_OFFSET = -0.691
_RINGING_S = 1.0


def loudness(sound: Sound, rate: int) -> float:
    """LUFS of float64 [N] at `rate` Hz, full scale 1; -inf for silence, and for less than 400 ms."""
    weighted = _weighted(sound, rate)
    block, hop = round(_BLOCK_S * rate), round(_HOP_S * rate)
    if len(weighted) < block:
        return -math.inf
    energy = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    starts = np.arange(0, len(weighted) - block + 1, hop)
    powers = (energy[starts + block] - energy[starts]) / block
    heard = powers[powers > _power(_ABSOLUTE_GATE)]
    if not len(heard):
        return -math.inf
    return _lufs(float(heard[heard > heard.mean() * 10 ** (_RELATIVE_GATE / 10)].mean()))


def levelled(sound: Sound, rate: int, lufs: float) -> Sound:
    """The same sound, as loud as `lufs`; silence stays."""
    now = loudness(sound, rate)
    return sound if now == -math.inf else sound * 10 ** ((lufs - now) / 20)


def _lufs(power: float) -> float:
    return _OFFSET + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))


def _weighted(sound: Sound, rate: int) -> Sound:
    """K-weighting: a shelf for the head, and a high-pass. By the spectrum, with room for their ringing."""
    size = len(sound) + round(_RINGING_S * rate)
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = _response(*_shelf(rate), z) * _response(*_high_pass(rate), z)
    weighted: Sound = np.fft.irfft(np.fft.rfft(sound, size) * response, size)[: len(sound)]
    return weighted


def _response(numerator: Sound, denominator: Sound, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    response: NDArray[np.complex128] = np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
    return response


def _shelf(rate: int) -> tuple[Sound, Sound]:
    """The first filter, which at 48 kHz has the coefficients of the recommendation, at any rate."""
    gain_db, quality, k = 3.99984385397, 0.7071752369554193, math.tan(math.pi * 1681.9744509555319 / rate)
    high = 10 ** (gain_db / 20)
    middle = high**0.499666774155
    numerator = [high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k]
    return np.array(numerator), _denominator(quality, k)


def _high_pass(rate: int) -> tuple[Sound, Sound]:
    """The second filter. The recommendation does not scale it to 1 where it lets pass."""
    quality, k = 0.5003270373253953, math.tan(math.pi * 38.13547087613982 / rate)
    denominator = _denominator(quality, k)
    return np.array([1.0, -2.0, 1.0]) * denominator[0], denominator


def _denominator(quality: float, k: float) -> Sound:
    return np.array([1 + k / quality + k * k, 2 * (k * k - 1), 1 - k / quality + k * k])
