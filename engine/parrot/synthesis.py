"""Mimi's decoder as a sine vocoder: sum over carriers k of 1.2 A0 (exp(L_k) - 1) cos(2 pi f_k t + phase_k).

L_k are the log amplitudes that the encoder has stored, a column of them 25 times a second; two columns lie
side by side in one latent of 12.5 Hz. The first ELU is the exponential, the others are straight lines
(elu.py).
"""

import numpy as np

from engine.parrot.carriers import (
    BANDS_HZ,
    CARRIERS,
    CARRIERS_HZ,
    COHERENT,
    PHASES,
    WIDE_BANDS_HZ,
    Floats,
    wide_band,
)
from engine.parrot.companding import FLOOR, LOG_FLOOR
from engine.parrot.elu import LIFT, all_lifted, cancel_lift
from engine.parrot.filter_bank import FilterBank, droop, interpolator
from engine.parrot.shape import FILTERS, LATENT

MAKEUP_GAIN = 1.2
"""The quantiser averages logarithms, which costs about 2 dB of level."""


def decoder_weights(bank: FilterBank) -> dict[str, Floats]:
    """The weights from latent to waveform by their official names, but residual blocks and transformer."""
    weights = {
        "upsample.convtr.convtr.convtr.weight": _column_selector(),
        "decoder.model.2.convtr.convtr.weight": _amplitudes_to_bands(),
        "decoder.model.2.convtr.convtr.bias": np.full(8 * FILTERS, LIFT),
    }
    weights["decoder.model.0.conv.conv.weight"], weights["decoder.model.0.conv.conv.bias"] = _log_amplitudes()
    for layer, level in ((5, bank.from_200), (8, bank.from_1200), (11, bank.from_6000)):
        name = f"decoder.model.{layer}.convtr.convtr"
        weights[f"{name}.weight"] = cancel_lift(level, all_lifted(len(level)), len(level) - 2, axis=0)
        weights[f"{name}.bias"] = np.full(level.shape[1], LIFT)
    last = np.zeros((1, FILTERS, 3))
    last[0, 0, -1] = 1
    weights["decoder.model.14.conv.conv.weight"] = last
    weights["decoder.model.14.conv.conv.bias"] = np.full(1, -LIFT)
    return weights


def _column_selector() -> Floats:
    """Each latent becomes two columns: the first CARRIERS channels are the earlier, the next the later."""
    weights = np.zeros((LATENT, 1, 4))
    weights[:CARRIERS, 0, 0] = weights[CARRIERS : 2 * CARRIERS, 0, 1] = 1
    return weights


def _log_amplitudes() -> tuple[Floats, Floats]:
    """Weight and bias that bring L_k - log(1/A0) <= 0 into channel k, and LIFT into two constant channels."""
    weight, bias = np.zeros((16 * FILTERS, LATENT, 7)), np.zeros(16 * FILTERS)
    for k in range(CARRIERS):
        weight[k, k, -1] = weight[k, CARRIERS + k, -1] = 1
    bias[:CARRIERS] = -LOG_FLOOR
    bias[CARRIERS : CARRIERS + 2] = LIFT
    return weight, bias


def _amplitudes_to_bands() -> Floats:
    """The carriers: amplitudes at 25 Hz, faded from column to column, times exp(i (2 pi f t + phase)).

    What a carrier will lose to the next triangle, because it is off its band's centre, it gets in advance.
    """
    weights = np.zeros((16 * FILTERS, 8 * FILTERS, 16))
    fade = interpolator(0, 200, 8).real
    samples = np.arange(16) % 8
    for k, frequency in enumerate(CARRIERS_HZ):
        band = wide_band(frequency) if k < COHERENT else len(WIDE_BANDS_HZ) + k - COHERENT
        turning = np.exp(1j * (2 * np.pi * frequency * samples / 200 + PHASES[k]))
        kernel = MAKEUP_GAIN * fade * turning / droop(frequency - BANDS_HZ[band], 200)
        weights[k, 2 * band] += kernel.real
        weights[k, 2 * band + 1] += kernel.imag
    lift = np.zeros(16 * FILTERS)
    lift[:CARRIERS] = -(1 - FLOOR)  # ELU gives A0 exp(L) - 1; A0 exp(L) - A0 is wanted.
    return cancel_lift(weights, lift, CARRIERS, axis=0)
