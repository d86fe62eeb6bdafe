"""Mimi's encoder as the vocoder's ear: an amplitude per carrier, 25 times a second.

The filter bank is read backwards down to 200 Hz. Below 1575 Hz a band is first turned to 0 Hz and smoothed by
a Hann window of 80 ms, which resolves neighbours 25 Hz apart (the harmonics of a voice), and rectified at 25
Hz. Above, where 12.5 Hz of resolution would mean nothing to the ear, bands are rectified at 200 Hz and
averaged.
"""

import numpy as np

from engine.parrot.carriers import (
    ANALYSERS_HZ,
    CARRIERS,
    CARRIERS_HZ,
    COHERENT,
    HIGH_HZ,
    WIDE_BANDS_HZ,
    Floats,
    wide_band,
)
from engine.parrot.companding import NORM_CONSTANT
from engine.parrot.elu import LIFT, RECTIFIER_GAIN, RECTIFIER_MEAN, THIRDS, all_lifted, cancel_lift
from engine.parrot.filter_bank import Complexes, FilterBank, droop
from engine.parrot.shape import FILTERS, LATENT

# Channels at 200 Hz: the wide bands as pairs, then three rectified phases of every high carrier.
_FIRST_HIGH_200 = 2 * len(WIDE_BANDS_HZ)
# Channels at 25 Hz: three rectified phases of every analyser, then one of every high carrier.
_FIRST_HIGH_25 = 3 * len(ANALYSERS_HZ)
# Between an even share, which keeps a tone's level between two carriers (1/2), and a clear nearest one (1).
_POOLING = 0.75
_HANN: Floats = np.hanning(17)[:16] / 8


def encoder_weights(bank: FilterBank) -> dict[str, Floats]:
    """The weights from waveform to latent by their official names, but residual blocks and transformer."""
    first = np.zeros((FILTERS, 1, 7))
    first[0, 0, -1] = 1
    layers = {
        0: (first, np.full(FILTERS, LIFT)),
        3: _level_backwards(bank.from_6000, gain=2),  # Half of a real tone is at its negative frequency.
        6: _level_backwards(bank.from_1200, gain=1),
        9: _to_200_hz(bank),
        12: _to_25_hz(),
        14: _to_carriers(),
    }
    weights = {"downsample.conv.conv.conv.weight": _column_joiner()}
    for index, (weight, bias) in layers.items():
        weights[f"encoder.model.{index}.conv.conv.weight"] = weight
        weights[f"encoder.model.{index}.conv.conv.bias"] = bias
    return weights


def _level_backwards(level: Floats, gain: float) -> tuple[Floats, Floats]:
    slow, fast, kernel = level.shape
    weight = level * gain / (kernel // 2)
    return cancel_lift(weight, all_lifted(fast), fast - 2, axis=1), np.full(slow, LIFT)


def _to_200_hz(bank: FilterBank) -> tuple[Floats, Floats]:
    weight, bias = np.zeros((8 * FILTERS, 4 * FILTERS, 12)), np.full(8 * FILTERS, LIFT)
    weight[:_FIRST_HIGH_200] = bank.from_200[:_FIRST_HIGH_200] / 6
    spacing_hz = np.gradient(CARRIERS_HZ)[COHERENT:]
    t = np.arange(12) - 6
    for index, frequency in enumerate(HIGH_HZ):
        source = bank.band_at_1200(len(WIDE_BANDS_HZ) + index)
        # The wider the gap to the neighbours, the shorter the window, the wider the band.
        half_width = np.clip(round(0.64 / spacing_hz[index] * 1200), 3, 6)
        window = np.clip(1 - np.abs(t) / half_width, 0, None)
        window /= window.sum() * droop(frequency - bank.centres_1200[source], 1200)
        first = _FIRST_HIGH_200 + 3 * index
        _add_phases(weight, first, source, window * np.exp(-2j * np.pi * frequency * t / 1200))
        bias[first : first + 3] = 0
    return cancel_lift(weight, all_lifted(4 * FILTERS), 4 * FILTERS - 2, axis=1), bias


def _to_25_hz() -> tuple[Floats, Floats]:
    weight = np.zeros((16 * FILTERS, 8 * FILTERS, 16))
    t = np.arange(16) - 8
    for index, frequency in enumerate(ANALYSERS_HZ):
        source = wide_band(frequency)
        window = _HANN / droop(frequency - WIDE_BANDS_HZ[source], 200)
        _add_phases(weight, 3 * index, source, window * np.exp(-2j * np.pi * frequency * t / 200))
    for index in range(len(HIGH_HZ)):
        phases = slice(_FIRST_HIGH_200 + 3 * index, _FIRST_HIGH_200 + 3 * index + 3)
        weight[_FIRST_HIGH_25 + index, phases] = _HANN / RECTIFIER_GAIN / RECTIFIER_MEAN
    lift = np.zeros(8 * FILTERS)
    lift[:_FIRST_HIGH_200] = LIFT
    return cancel_lift(weight, lift, 8 * FILTERS - 2, axis=1), np.zeros(16 * FILTERS)


def _to_carriers() -> tuple[Floats, Floats]:
    """Amplitudes first, then what keeps LayerNorm constant: +C, -C and the amplitudes mirrored.

    Where carriers are wider apart than analysers, each takes the analysers up to its neighbours.
    """
    weight, bias = np.zeros((LATENT, 16 * FILTERS, 3)), np.zeros(LATENT)
    for k, frequency in enumerate(CARRIERS_HZ[:COHERENT]):
        below = frequency - CARRIERS_HZ[k - 1] if k else 25.0
        above = CARRIERS_HZ[k + 1] - frequency
        distance = ANALYSERS_HZ - frequency
        triangle = np.clip(1 - np.abs(distance) / np.where(distance < 0, below, above), 0, None)
        share = triangle**_POOLING
        weight[k, :_FIRST_HIGH_25, -1] = np.repeat(share, 3) / RECTIFIER_GAIN / RECTIFIER_MEAN
    for k in range(COHERENT, CARRIERS):
        weight[k, _FIRST_HIGH_25 + k - COHERENT, -1] = 1
    bias[CARRIERS], bias[CARRIERS + 1] = NORM_CONSTANT, -NORM_CONSTANT
    weight[CARRIERS + 2 :] = -weight[:CARRIERS]
    return weight, bias


def _column_joiner() -> Floats:
    """Two columns of 25 Hz side by side in one latent; the transposed twin of the decoder's selector."""
    weight = np.zeros((LATENT, LATENT, 4))
    for k in range(CARRIERS):
        weight[k, k, 2] = weight[CARRIERS + k, k, 3] = 1
    return weight


def _add_phases(weight: Floats, first: int, source: int, kernel: Complexes) -> None:
    """Channel pair `source` times `kernel`: the real part in three phases, amplified, from `first` on."""
    for phase, third in enumerate(THIRDS):
        turned = kernel * third * RECTIFIER_GAIN
        weight[first + phase, 2 * source], weight[first + phase, 2 * source + 1] = turned.real, -turned.imag
