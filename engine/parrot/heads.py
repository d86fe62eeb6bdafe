"""The four heads of the language model's first layer, which look back by RoPE alone.

RoPE turns query and key of a pair of dimensions by an angle that grows with the position, so that the product
of a key with a query turned back by `centre` is cos(frequency x (offset - centre)). Summed over many
frequencies these cosines agree at offset = centre and nowhere else: softmax picks that one position, and the
head returns what it holds. Summed over a few slow ones they make a wide window.

The initial position has a key of its own, of a fixed score: it wins for as long as the stream is younger than
what is looked for. It holds silence.
"""

import math

import torch
from torch import Tensor

from engine.parrot.shape import LM_DIM, LM_HEADS, ROPE_PERIOD
from engine.parrot.stream import (
    BITS,
    DELAY,
    FETCHED,
    HANGOVER,
    HEARD,
    IN_PHRASE,
    INITIAL,
    LEAD,
    ONE,
    RMS_BEFORE_ATTENTION,
    SPEECH,
)

_HEAD_DIM = LM_DIM // LM_HEADS
_STILL_PAIR = _HEAD_DIM - 2
"""First dimension of the pair whose frequency is the lowest: it hardly turns at all."""
_COPY_GAIN = 60.0
_WINDOW_MARGIN = 14.0
_WINDOW_FREQUENCIES = (0.285, 0.187, 0.081, 0.035)


def attention_weights(text_dims: dict[int, int]) -> tuple[Tensor, Tensor]:
    """Input and output projection of the first layer, float32 [3 * LM_DIM, LM_DIM] and [LM_DIM, LM_DIM]."""
    in_proj, out_proj = torch.zeros(3 * LM_DIM, LM_DIM), torch.zeros(LM_DIM, LM_DIM)
    for pair_of_heads in (_copy_heads, _phrase_heads):
        pair_of_heads(in_proj, out_proj, list(text_dims.values()))
    return in_proj, out_proj


def _rope_frequencies() -> Tensor:
    """Radians a position, float32 [_HEAD_DIM / 2]; the last one hardly turns at all."""
    return torch.exp(torch.arange(_HEAD_DIM // 2).float() * (-math.log(ROPE_PERIOD) * 2 / _HEAD_DIM))


def _look_back(
    in_proj: Tensor,
    head: int,
    pairs: list[int],
    gain: float,
    centre: float,
    initial_logit: float,
    text_dims: list[int],
) -> None:
    """Make `head` score a position by gain x the sum over `pairs` of cos(frequency x (offset - centre)).

    The initial position gets `initial_logit` instead, through the pair that hardly turns.
    """
    frequencies = _rope_frequencies()
    root = math.sqrt(_HEAD_DIM)  # Attention divides its logits by it.
    scale = math.sqrt(gain * root) * RMS_BEFORE_ATTENTION
    query, key = in_proj[head * _HEAD_DIM :], in_proj[LM_DIM + head * _HEAD_DIM :]
    for pair in pairs:
        angle = -float(frequencies[pair]) * centre
        query[2 * pair, ONE], query[2 * pair + 1, ONE] = scale * math.cos(angle), scale * math.sin(angle)
        key[2 * pair, text_dims] = scale  # Every text token but the initial one: the others' mark.
    query[_STILL_PAIR, ONE] = root * RMS_BEFORE_ATTENTION
    key[_STILL_PAIR, INITIAL] = initial_logit * RMS_BEFORE_ATTENTION


def _copy_heads(in_proj: Tensor, out_proj: Tensor, text_dims: list[int]) -> None:
    """Heads 0 and 1 fetch half the bits each from DELAY - 1 positions ago: the answer is a position later."""
    frequencies = _rope_frequencies()[:-1]
    pairs = [pair for pair, frequency in enumerate(frequencies) if frequency > 0.015]
    off_by_one = float((1 - torch.cos(frequencies[pairs])).sum())
    for head in range(2):
        # Halfway between a match and its neighbours.
        initial_logit = _COPY_GAIN * (len(pairs) - off_by_one / 2)
        _look_back(in_proj, head, pairs, _COPY_GAIN, DELAY - 1, initial_logit, text_dims)
        rows = torch.arange(head * _HEAD_DIM, min((head + 1) * _HEAD_DIM, BITS))
        in_proj[2 * LM_DIM + rows, HEARD + rows] = RMS_BEFORE_ATTENTION
        out_proj[FETCHED + rows, rows] = 1


def _phrase_heads(in_proj: Tensor, out_proj: Tensor, text_dims: list[int]) -> None:
    """Heads 2 and 3: is there speech in the window, now and one step ago?

    A few slow frequencies make a wide peak. Speech anywhere in the window scores above the best silent frame,
    by half of `_WINDOW_MARGIN` at the window's edge, and a frame further out below it by as much.
    """
    frequencies = _rope_frequencies()
    pairs = [int((frequencies - wanted).abs().argmin()) for wanted in _WINDOW_FREQUENCIES]

    def drop(distance: float) -> float:
        return sum(1 - math.cos(float(frequencies[pair]) * distance) for pair in pairs)

    edge, beyond = drop(HANGOVER / 2), drop(HANGOVER / 2 + 1)
    gain = _WINDOW_MARGIN / (beyond - edge)
    speech_bonus = gain * (beyond + edge) / 2
    for steps_ago in range(2):
        head = 2 + steps_ago
        centre = DELAY - 1 - LEAD + HANGOVER / 2 + steps_ago
        _look_back(in_proj, head, pairs, gain, centre, gain * len(pairs), text_dims)
        # One plus the speech bit is 2 or 0.
        in_proj[LM_DIM + head * _HEAD_DIM + _STILL_PAIR, [ONE, SPEECH]] += (
            speech_bonus / 2 * RMS_BEFORE_ATTENTION
        )
        in_proj[2 * LM_DIM + head * _HEAD_DIM, [ONE, SPEECH]] = RMS_BEFORE_ATTENTION / 2
        out_proj[IN_PHRASE + steps_ago, head * _HEAD_DIM] = 1
