"""Moshi's language model in closed form: repeats the caller's codes DELAY frames later and writes "I hear
you.".

The first layer's attention fetches the codes and listens for phrases (heads.py); what it finds stands in the
residual stream (stream.py). Caller and model have the same acoustic delays, so that one offset is right for
all eight codebooks. A phrase's rising edge starts the sentence, each word calls the next, the falling edge
sets the full stop.
"""

import torch
from torch import Tensor

from engine.parrot.heads import attention_weights
from engine.parrot.shape import (
    CARD,
    CARD_BITS,
    CODEBOOKS,
    DEPFORMER_DIM,
    DEPFORMER_FFN,
    LM_DIM,
    LM_LAYERS,
    TEXT_CARD,
)
from engine.parrot.stream import (
    EPAD,
    FETCHED,
    HEARD,
    IN_PHRASE,
    INITIAL,
    ONE,
    PAD,
    PHRASE,
    RMS_BEHIND_ATTENTION,
    SPEECH,
    text_dimensions,
)

_STEP_SHARPNESS = 200.0
_TEXT_GAIN = 40.0
_CODE_LOGIT = 200.0


def closed_form_lm(speech_codes: Tensor, word_ids: list[int]) -> dict[str, Tensor]:
    """The language model's weights, float32, by their official fused names.

    speech_codes: bool [CARD], which codes of the first codebook are speech. word_ids: text tokens of `WORDS`.
    """
    text_dims = text_dimensions(word_ids)
    return {
        **_embeddings(speech_codes, text_dims),
        **_layers(text_dims),
        "out_norm.alpha": torch.ones(1, 1, LM_DIM),
        "text_linear.weight": _text_head(word_ids, text_dims),
        **_depformer(),
    }


def code_bits() -> Tensor:
    """Every code as its bits, +-1: float32 [CARD, CARD_BITS]."""
    codes = torch.arange(CARD)[:, None]
    return ((codes >> torch.arange(CARD_BITS)) & 1).float() * 2 - 1


def _embeddings(speech_codes: Tensor, text_dims: dict[int, int]) -> dict[str, Tensor]:
    """The model's own codes (0-7) count for nothing; a table's last row is the initial token: silence."""
    weights = {f"emb.{index}.weight": torch.zeros(CARD + 1, LM_DIM) for index in range(2 * CODEBOOKS)}
    bits = code_bits()
    for codebook in range(CODEBOOKS):
        table = weights[f"emb.{CODEBOOKS + codebook}.weight"]
        columns = slice(HEARD + codebook * CARD_BITS, HEARD + (codebook + 1) * CARD_BITS)
        table[:CARD, columns] = bits
        table[CARD, columns] = bits[0]
    first = weights[f"emb.{CODEBOOKS}.weight"]
    first[:CARD, SPEECH] = speech_codes.float() * 2 - 1
    first[CARD, SPEECH] = -1

    text = torch.zeros(TEXT_CARD + 1, LM_DIM)
    text[:, ONE] = 1
    for token in range(TEXT_CARD):
        text[token, text_dims.get(token, text_dims[PAD])] = 1
    text[TEXT_CARD, INITIAL] = 1
    return {**weights, "text_emb.weight": text}


def _layers(text_dims: dict[int, int]) -> dict[str, Tensor]:
    """The first layer copies and listens for phrases, the other does nothing."""
    hidden = 2 * LM_DIM // 3
    weights = {}
    for index in range(LM_LAYERS):
        layer = f"transformer.layers.{index}"
        weights[f"{layer}.self_attn.in_proj_weight"] = torch.zeros(3 * LM_DIM, LM_DIM)
        weights[f"{layer}.self_attn.out_proj.weight"] = torch.zeros(LM_DIM, LM_DIM)
        weights[f"{layer}.norm1.alpha"] = torch.ones(1, 1, LM_DIM)
        weights[f"{layer}.norm2.alpha"] = torch.ones(1, 1, LM_DIM)
        weights[f"{layer}.gating.linear_in.weight"] = torch.zeros(2 * hidden, LM_DIM)
        weights[f"{layer}.gating.linear_out.weight"] = torch.zeros(LM_DIM, hidden)
    layer = "transformer.layers.0"
    in_proj, out_proj = attention_weights(text_dims)
    weights[f"{layer}.self_attn.in_proj_weight"], weights[f"{layer}.self_attn.out_proj.weight"] = (
        in_proj,
        out_proj,
    )
    _sharpen_phrase(weights[f"{layer}.gating.linear_in.weight"], weights[f"{layer}.gating.linear_out.weight"])
    return weights


def _sharpen_phrase(linear_in: Tensor, linear_out: Tensor) -> None:
    """Steps from 0 to 1 between 0.45 and 0.55: the difference of two steep SiLU ramps."""
    hidden = linear_out.shape[1]
    for steps_ago in range(2):
        for ramp, (start, sign) in enumerate([(0.45, 1), (0.55, -1)]):
            unit = 2 * steps_ago + ramp
            linear_in[unit, IN_PHRASE + steps_ago] = _STEP_SHARPNESS * RMS_BEHIND_ATTENTION
            linear_in[unit, ONE] = -_STEP_SHARPNESS * start * RMS_BEHIND_ATTENTION
            linear_in[hidden + unit, ONE] = RMS_BEHIND_ATTENTION
            linear_out[PHRASE + steps_ago, unit] = sign / (0.1 * _STEP_SHARPNESS)


def _text_head(word_ids: list[int], text_dims: dict[int, int]) -> Tensor:
    """PAD scores 0 and wins, unless a condition lifts another token from -1 or -2 gains above it."""
    gain = _TEXT_GAIN * RMS_BEHIND_ATTENTION
    *words, full_stop = word_ids
    now, before = PHRASE, PHRASE + 1
    head = torch.zeros(TEXT_CARD, LM_DIM)
    head[:, ONE] = -2 * gain
    head[PAD] = 0
    head[[EPAD, full_stop, *words], ONE] = -gain
    head[EPAD, now], head[EPAD, before] = 2 * gain, -2 * gain
    head[full_stop, now], head[full_stop, before] = -2 * gain, 2 * gain
    for previous, word in zip([EPAD, *words], words, strict=False):
        head[word, text_dims[previous]] = 2 * gain
    return head


def _depformer() -> dict[str, Tensor]:
    """Step k takes the fetched bits of codebook k to the code they spell; its own transformer is zero.

    A code's logit is the number of equal bits less that of different ones: the right one leads by a fifth.
    """
    weights: dict[str, Tensor] = {"depformer_text_emb.weight": torch.zeros(TEXT_CARD + 1, DEPFORMER_DIM)}
    for codebook in range(CODEBOOKS):
        select = torch.zeros(DEPFORMER_DIM, LM_DIM)
        bit = torch.arange(CARD_BITS)
        select[bit, FETCHED + codebook * CARD_BITS + bit] = RMS_BEHIND_ATTENTION
        weights[f"depformer_in.{codebook}.weight"] = select
        spell = torch.zeros(CARD, DEPFORMER_DIM)
        spell[:, :CARD_BITS] = code_bits() * (_CODE_LOGIT / CARD_BITS)
        weights[f"linears.{codebook}.weight"] = spell
        if codebook:
            weights[f"depformer_emb.{codebook - 1}.weight"] = torch.zeros(CARD + 1, DEPFORMER_DIM)

    hidden = 2 * DEPFORMER_FFN // 3
    layer = "depformer.layers.0"
    weights[f"{layer}.self_attn.in_proj_weight"] = torch.zeros(CODEBOOKS * 3 * DEPFORMER_DIM, DEPFORMER_DIM)
    weights[f"{layer}.self_attn.out_proj.weight"] = torch.zeros(CODEBOOKS * DEPFORMER_DIM, DEPFORMER_DIM)
    weights[f"{layer}.norm1.alpha"] = torch.ones(1, 1, DEPFORMER_DIM)
    weights[f"{layer}.norm2.alpha"] = torch.ones(1, 1, DEPFORMER_DIM)
    for codebook in range(CODEBOOKS):
        weights[f"{layer}.gating.{codebook}.linear_in.weight"] = torch.zeros(2 * hidden, DEPFORMER_DIM)
        weights[f"{layer}.gating.{codebook}.linear_out.weight"] = torch.zeros(DEPFORMER_DIM, hidden)
    return weights
