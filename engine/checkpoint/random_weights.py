"""Weights that nobody trained: for measuring speed, and for trying the engine where no files are."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from engine.models.config import (
    ConditionsConfig,
    DepformerConfig,
    LMConfig,
    MimiConfig,
    QuantizerConfig,
    SeanetConfig,
    TransformerConfig,
    ValueConfig,
)
from engine.models.linear import AnyLinear
from engine.models.rvq import ResidualQuantizer, codebook_table

_SEED = 20240917


def tiny_mimi(bins: int = 64) -> MimiConfig:
    """A codec of 60 thousand weights in the official form, beside its codebooks."""
    return MimiConfig(
        seanet=SeanetConfig(dimension=32, n_filters=4),
        quantizer=QuantizerConfig(dimension=16, n_q=8, bins=bins),
        transformer=TransformerConfig(
            dim=32, heads=4, layers=2, feedforward=64, context=50, layer_scale=True
        ),
    )


def tiny_lm() -> LMConfig:
    """A language model of 400 thousand weights in the form of Moshi's."""
    rope = TransformerConfig(
        dim=64, heads=4, layers=2, feedforward=264, context=100, norm="rms_norm_f32", gating="silu"
    )
    depformer = DepformerConfig(
        dim=32, heads=4, layers=2, feedforward=(132,) * 8, steps=8, run=8, schedule=tuple(range(8))
    )
    delays = (0, *(0, 1, 1, 1, 1, 1, 1, 1) * 2)
    return LMConfig(rope, depformer, delays, n_q=16, card=64, text_card=64, text_card_out=64)


def tiny_personaplex() -> LMConfig:
    """The same with as many codes as the official codec has, which PersonaPlex's prompts need."""
    config = tiny_lm()
    return replace(config, card=2048, transformer=replace(config.transformer, context=200))


def tiny_stt() -> LMConfig:
    """A language model of 100 thousand weights in the form of Kyutai's speech to text."""
    temporal = TransformerConfig(
        dim=64,
        heads=4,
        layers=2,
        feedforward=264,
        context=100,
        norm="rms_norm_f32",
        gating="silu",
        max_period=100_000.0,
    )
    return LMConfig(temporal, None, (0,) * 9, n_q=8, card=64, text_card=16, text_card_out=16, extra_heads=4)


_GUIDANCE = ("1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0")


def _conditions(dim: int, voice_dim: int) -> ConditionsConfig:
    values = ValueConfig("control", dim, 1, ("ok",)), ValueConfig("cfg", dim, len(_GUIDANCE), _GUIDANCE)
    return ConditionsConfig(values, "speaker_wavs", voice_dim)


def tts_1_6b() -> LMConfig:
    """Kyutai's `tts-1.6b-en_fr`."""
    temporal = TransformerConfig(
        dim=2048,
        heads=16,
        layers=16,
        feedforward=8448,
        context=500,
        norm="rms_norm_f32",
        gating="silu",
        cross_attention=True,
    )
    schedule = (*range(8), *(8,) * 8, *(9,) * 8, *(10,) * 8)
    depformer = DepformerConfig(
        dim=1024,
        heads=16,
        layers=4,
        feedforward=(3072,) * 11,
        steps=32,
        run=32,
        schedule=schedule,
        low_rank=128,
    )
    delays = (0, 0, *(2,) * 31)
    return LMConfig(
        temporal,
        depformer,
        delays,
        n_q=32,
        card=2048,
        text_card=8000,
        text_card_out=8000,
        demux_text=True,
        conditions=_conditions(16, 512),
    )


def tiny_tts() -> LMConfig:
    """A language model of 200 thousand weights in the form of Kyutai's text to speech."""
    temporal = TransformerConfig(
        dim=64,
        heads=4,
        layers=2,
        feedforward=264,
        context=100,
        norm="rms_norm_f32",
        gating="silu",
        cross_attention=True,
    )
    depformer = DepformerConfig(
        dim=32,
        heads=4,
        layers=2,
        feedforward=(132,) * 4,
        steps=8,
        run=8,
        schedule=(0, 1, 2, 2, 2, 3, 3, 3),
        low_rank=8,
    )
    return LMConfig(
        temporal,
        depformer,
        (0, 0, *(2,) * 7),
        n_q=8,
        card=64,
        text_card=16,
        text_card_out=5,
        demux_text=True,
        conditions=_conditions(4, 16),
    )


@torch.no_grad()
def randomise(module: nn.Module, seed: int = _SEED) -> None:
    """Fills `module`, each time the same on one device, so that signals keep their size.

    8-bit weights are those that exact ones would have become.
    """
    device, dtype = next(module.parameters()).device, next(module.parameters()).dtype
    generator = torch.Generator(device).manual_seed(seed)
    for part in module.modules():
        for name, tensor in part.named_parameters(recurse=False):
            if name == "weight" and isinstance(part, AnyLinear) and part.weight_scb is not None:
                exact = torch.empty_like(tensor, dtype=dtype)
                _randomise_one(name, exact, generator)
                weight, scales = part.quantised(exact)
                tensor.copy_(weight)
                part.weight_scb.copy_(scales)
            elif name != "weight_scb":
                _randomise_one(name, tensor, generator)
        if isinstance(part, ResidualQuantizer):
            for table in part.tables:
                centroids = torch.empty_like(table[:, :-2]).normal_(0, 0.5, generator=generator)
                table.copy_(codebook_table(centroids, torch.ones_like(table[:, 0])))


def _randomise_one(name: str, tensor: Tensor, generator: torch.Generator) -> None:
    if name == "scale":
        tensor.fill_(0.3)
    elif name == "bias":
        tensor.zero_()
    elif name == "alpha" or tensor.dim() == 1:
        tensor.fill_(1.0)
    else:
        tensor.normal_(0, 1 / math.sqrt(tensor.shape[-1]), generator=generator)
