"""What ELU, the codec's only nonlinearity, is made to do: a straight line, an exponential, a rectifier.

ELU(x) is x above zero and exp(x) - 1 below.

- Straight line: with a bias that lifts a signal by `LIFT`, ELU(x + LIFT) = x + LIFT as long as |x| < LIFT.
  The layer behind must take the lift off again, at every tap, because a sum over taps and channels carries
  it along. No bias can do that at the edge of a stream, where some taps see zeros. Two channels that hold
  nothing but the lift can: with minus the sum of the others' weights they cancel it tap by tap.
- Exponential: ELU(x) + 1 = exp(x) for x <= 0. The 1 is one more thing for the constant channels to take off.
- Rectifier: behind a large gain ELU is max(0, x). Added up over three phases of a complex signal z, 120
  degrees apart, that is |z| but for a ripple: max(0, cos) has the mean 1/pi over a turn, three make 3/pi.
"""

import numpy as np

from engine.parrot.carriers import Floats

LIFT = 2.0
"""Larger than any signal inside the codec; louder ones are clipped softly."""

RECTIFIER_GAIN = 4000.0
RECTIFIER_MEAN = 3 / np.pi
THIRDS = np.exp(-2j * np.pi * np.arange(3) / 3)
"""The three phases in which a complex signal is rectified."""


def round_to_11_bits(values: Floats) -> Floats:
    """`values` with 11 significant bits: what fp16 files and TF32 multiplications keep unchanged."""
    mantissa, exponent = np.frexp(values)
    rounded: Floats = np.ldexp(np.round(mantissa * 2048) / 2048, exponent)
    return rounded


def all_lifted(channels: int) -> Floats:
    """The lift of a layer's `channels` where the last two are its constants, which mean what they hold."""
    lift = np.full(channels, LIFT)
    lift[-2:] = 0
    return lift


def cancel_lift(weights: Floats, lift: Floats, constants: int, axis: int) -> Floats:
    """`weights` rounded, and written so that their constant input channels take off what `lift` adds.

    weights: a convolution's three axes, of which `axis` counts input channels. lift: [input channels], how
    far each stands above the signal that it means. constants: input channel that holds LIFT always, as the
    next one does; they carry the sum in a coarse and a fine part, so that it is exact although each has only
    11 bits.
    """
    by_input = round_to_11_bits(np.moveaxis(weights, axis, 0))
    to_cancel = -(by_input * lift[:, None, None]).sum(0) / LIFT
    coarse = round_to_11_bits(to_cancel)
    by_input[constants] = coarse
    by_input[constants + 1] = round_to_11_bits(to_cancel - coarse)
    return np.moveaxis(by_input, 0, axis)


def rectified_mean(amplitudes: Floats) -> Floats:
    """What the rectifier reports on average for sinusoids of `amplitudes` [n]: almost the amplitudes."""
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    phases = turn[:, None] + 2 * np.pi * np.arange(3) / 3
    amplified = RECTIFIER_GAIN * amplitudes[:, None, None] * np.cos(phases)
    after_elu = np.where(amplified > 0, amplified, np.expm1(np.minimum(amplified, 0)))
    mean: Floats = after_elu.sum(-1).mean(-1) / RECTIFIER_GAIN / RECTIFIER_MEAN
    return mean
