"""The logarithm L = log(1 + A / A0), made of GELU hinges in Mimi's encoder transformer.

It stands in the feed-forward block of the first layer. LayerNorm comes before it and would divide by the
loudness. It is kept constant by two channels that hold +C and -C, large against every amplitude, and by a
mirror channel -A for every A, which keeps the mean at zero: it then divides by C sqrt(2 / d) and nothing
else. Attention and all other blocks are zero, the residual path remains.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from engine.parrot.carriers import CARRIERS, Floats
from engine.parrot.elu import rectified_mean
from engine.parrot.shape import LATENT, MIMI_FFN

LOG_FLOOR = 6.21484375
"""log(1 / A0), a number that fp16 holds exactly: exp(-LOG_FLOOR) - A0 then cancels to digital silence."""

FLOOR = math.exp(-LOG_FLOOR)
"""A0 = 0.002: amplitudes well above are coded by their logarithm, those below fade into silence."""

NORM_CONSTANT = 10.0
"""C, in the channels CARRIERS and CARRIERS + 1."""

_THRESHOLDS: Floats = FLOOR * np.array([0.0, 0.3, 0.7, 1.6, 4.5, 13, 40, 125, 400])
_SHARPNESS: Floats = 4 / np.maximum(_THRESHOLDS, FLOOR / 10)


def encoder_transformer_weights() -> dict[str, Floats]:
    """Both layers by their official names: the logarithm in the first, nothing in the second."""
    weights = silent_transformer_weights("encoder_transformer")
    layer = "encoder_transformer.transformer.layers.0"
    weights[f"{layer}.linear1.weight"], weights[f"{layer}.linear2.weight"] = _hinges_for_every_carrier()
    return weights


def silent_transformer_weights(name: str) -> dict[str, Floats]:
    """A transformer of two layers that changes nothing, by its official names below `name`."""
    weights: dict[str, Floats] = {}
    for index in range(2):
        layer = f"{name}.transformer.layers.{index}"
        for norm, scale in (("norm1", "layer_scale_1"), ("norm2", "layer_scale_2")):
            weights[f"{layer}.{norm}.weight"], weights[f"{layer}.{norm}.bias"] = (
                np.ones(LATENT),
                np.zeros(LATENT),
            )
            weights[f"{layer}.{scale}.scale"] = np.ones(LATENT)
        weights[f"{layer}.self_attn.in_proj_weight"] = np.zeros((3 * LATENT, LATENT))
        weights[f"{layer}.self_attn.out_proj.weight"] = np.zeros((LATENT, LATENT))
        weights[f"{layer}.linear1.weight"] = np.zeros((MIMI_FFN, LATENT))
        weights[f"{layer}.linear2.weight"] = np.zeros((LATENT, MIMI_FFN))
    return weights


def _hinges_for_every_carrier() -> tuple[Floats, Floats]:
    heights = _fit_heights()
    norm_gain = math.sqrt(LATENT / 2) / NORM_CONSTANT
    constant = NORM_CONSTANT * norm_gain
    linear1, linear2 = np.zeros((MIMI_FFN, LATENT)), np.zeros((LATENT, MIMI_FFN))
    for k in range(CARRIERS):
        hinges = slice(k * len(heights), (k + 1) * len(heights))
        linear1[hinges, k] = _SHARPNESS / norm_gain
        linear1[hinges, CARRIERS] = -_SHARPNESS * _THRESHOLDS / constant / 2
        linear1[hinges, CARRIERS + 1] = _SHARPNESS * _THRESHOLDS / constant / 2
        linear2[k, hinges] = heights / _SHARPNESS
        linear2[CARRIERS + 2 + k, hinges] = -heights / _SHARPNESS
    return linear1, linear2


def _fit_heights() -> Floats:
    """Heights h_j with A + sum_j h_j GELU(g_j (A - t_j)) / g_j close to log(1 + A / A0), by least squares.

    A is what the rectifier reports. Below 0.2 A0 the result shall be zero, so that faint noise is silence.
    """
    amplitudes = np.concatenate([[0.0], np.geomspace(1e-5, 2, 800)])
    reported = rectified_mean(amplitudes)
    relative = amplitudes / FLOOR
    wanted = np.log1p(relative) * np.clip((relative - 0.2) / 0.3, 0, 1) - reported
    hinges = _gelu(_SHARPNESS * (reported[:, None] - _THRESHOLDS)) / _SHARPNESS
    importance = np.where(relative < 0.15, 6.0, 1.0)
    keep_small = 1e-6 * np.eye(len(_THRESHOLDS)) / FLOOR
    heights: Floats = np.linalg.lstsq(
        np.concatenate([hinges * importance[:, None], keep_small]),
        np.concatenate([wanted * importance, np.zeros(len(_THRESHOLDS))]),
        rcond=None,
    )[0]
    return heights


def _gelu(x: Floats) -> Floats:
    y: Floats = F.gelu(torch.from_numpy(x)).numpy()
    return y
