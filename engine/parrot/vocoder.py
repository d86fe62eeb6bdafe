"""Mimi in closed form: every weight of its encoder and decoder computed, none trained.

The codec is a sine vocoder (synthesis.py, analysis.py). Residual blocks and the decoder's transformer are
zero, the encoder's transformer is a logarithm (companding.py). Only the quantizer between them is learnt
(codebooks.py).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.parrot.analysis import encoder_weights
from engine.parrot.carriers import CARRIERS, CARRIERS_HZ, Floats
from engine.parrot.companding import FLOOR, encoder_transformer_weights, silent_transformer_weights
from engine.parrot.filter_bank import filter_bank
from engine.parrot.shape import FILTERS, LATENT
from engine.parrot.synthesis import decoder_weights

_CALIBRATION_AMPLITUDE = 0.05
_STRIDES = {3: 4, 6: 5, 9: 6, 12: 8}


def closed_form_mimi() -> dict[str, Tensor]:
    """All of Mimi but its quantizer: float32 tensors by their official names. Takes about a second."""
    bank = filter_bank()
    weights = {
        **encoder_weights(bank),
        **encoder_transformer_weights(),
        **decoder_weights(bank),
        **silent_transformer_weights("decoder_transformer"),
        **_silent_residual_blocks("encoder.model", {1: 1, 4: 2, 7: 4, 10: 8}),
        **_silent_residual_blocks("decoder.model", {3: 8, 6: 4, 9: 2, 12: 1}),
    }
    tensors = {name: torch.tensor(weight, dtype=torch.float32) for name, weight in weights.items()}
    _calibrate(tensors)
    return tensors


@torch.no_grad()
def latents(mimi: dict[str, Tensor], pcm: Tensor) -> Tensor:
    """The encoder alone, float32 [B, frames, 2 * CARRIERS]: two columns of log amplitudes a frame.

    pcm: float32 [B, frames * 1920], a stream's beginning. Leaves out the blocks that are zero.
    """
    columns = _log_amplitudes(mimi, _rectified(mimi, pcm))
    return columns.reshape(len(pcm), -1, 2 * CARRIERS)


def _rectified(mimi: dict[str, Tensor], pcm: Tensor) -> Tensor:
    """What reaches the encoder's last convolution, [B, 16 * FILTERS, columns of 25 Hz]."""
    signal = _convolve(mimi, 0, pcm[:, None])
    for layer, stride in _STRIDES.items():
        signal = _convolve(mimi, layer, F.elu(signal), stride)
    return F.elu(signal)


def _log_amplitudes(mimi: dict[str, Tensor], rectified: Tensor) -> Tensor:
    """The last convolution and the transformer's only working block, [B, columns, CARRIERS]."""
    hidden = _convolve(mimi, 14, rectified).transpose(1, 2)
    layer = "encoder_transformer.transformer.layers.0"
    inner = F.gelu(F.linear(F.layer_norm(hidden, (LATENT,)), mimi[f"{layer}.linear1.weight"]))
    return (hidden + F.linear(inner, mimi[f"{layer}.linear2.weight"]))[..., :CARRIERS]


def _convolve(mimi: dict[str, Tensor], layer: int, signal: Tensor, stride: int = 1) -> Tensor:
    weight, bias = (
        mimi[f"encoder.model.{layer}.conv.conv.weight"],
        mimi[f"encoder.model.{layer}.conv.conv.bias"],
    )
    return F.conv1d(F.pad(signal, (weight.shape[2] - stride, 0)), weight, bias, stride)


def _calibrate(mimi: dict[str, Tensor]) -> None:
    """Scale every carrier's row until its own tone reads as loud as it is: the filters droop, up to 2 dB."""
    seconds = torch.arange(6 * 1920, dtype=torch.float64) / 24_000
    phases = torch.tensor([0.0, 0.7, 1.4], dtype=torch.float64)
    settled = []
    for frequency in CARRIERS_HZ:
        tones = _CALIBRATION_AMPLITUDE * torch.sin(2 * math.pi * frequency * seconds + phases[:, None])
        settled.append(_rectified(mimi, tones.float())[..., 8:])
    rectified = torch.cat(settled)

    own = torch.arange(CARRIERS)
    last = mimi["encoder.model.14.conv.conv.weight"]
    for _ in range(
        2
    ):  # The hinges bend the logarithm a little, so that the first correction is not the last.
        log_amplitudes = _log_amplitudes(mimi, rectified).view(CARRIERS, 3, -1, CARRIERS)
        read = FLOOR * torch.expm1(log_amplitudes[own, :, :, own]).mean((1, 2))
        last[:CARRIERS] *= (_CALIBRATION_AMPLITUDE / read)[:, None, None]
        last[CARRIERS + 2 :] = -last[:CARRIERS]


def _silent_residual_blocks(prefix: str, widths: dict[int, int]) -> dict[str, Floats]:
    weights: dict[str, Floats] = {}
    for layer, width in widths.items():
        channels = width * FILTERS
        block = f"{prefix}.{layer}.block"
        weights[f"{block}.1.conv.conv.weight"] = np.zeros((channels // 2, channels, 3))
        weights[f"{block}.1.conv.conv.bias"] = np.zeros(channels // 2)
        weights[f"{block}.3.conv.conv.weight"] = np.zeros((channels, channels // 2, 1))
        weights[f"{block}.3.conv.conv.bias"] = np.zeros(channels)
    return weights
