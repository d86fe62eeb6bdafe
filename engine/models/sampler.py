"""From logits to a token, without a random state of its own."""

import torch
from torch import Tensor

from engine.kernels.fused import fused, on_kernels
from engine.models.config import LMConfig
from engine.models.noise import gumbel_noise
from engine.state.sampling_state import SamplingState


class Draws:
    """The draws of one step, channel by channel: for each row as the session in its slot wants it."""

    def __init__(self, slots: Tensor, frames: Tensor, sampling: SamplingState, config: LMConfig) -> None:
        """slots: int64 [B]; frames: int64 [S], the step numbers of all slots."""
        self._by_slot = slots, frames, sampling.seeds, sampling.temperatures, sampling.top_k
        self._kernels = on_kernels(slots)
        if self._kernels:
            return
        # All at once, for on CPU the noise of a channel is little work and many calls.
        seeds, now = sampling.seeds[slots], frames[slots]
        text = gumbel_noise(seeds, now, range(1), config.text_card_out)
        codes = gumbel_noise(seeds, now, range(1, 1 + config.own_codebooks), config.card)
        self._noise = [*text.unbind(1), *codes.unbind(1)]
        self._temperatures, self._top_k = sampling.temperatures[slots], sampling.top_k[slots]

    def __call__(self, channel: int, logits: Tensor) -> Tensor:
        """Tokens int64 [B] of channel 0, the text, or of codebook `channel` - 1. logits: [B, V]."""
        if self._kernels:
            return draw(logits, *self._by_slot, channel)
        kind = min(channel, 1)
        return sample(logits.float(), self._noise[channel], self._temperatures[:, kind], self._top_k[:, kind])


@fused("draw")
def draw(
    logits: Tensor,
    slots: Tensor,
    frames: Tensor,
    seeds: Tensor,
    temperatures: Tensor,
    top_k: Tensor,
    channel: int,
) -> Tensor:
    """One of a step's `Draws`, int64 [B].

    logits: [B, V]; slots: int64 [B]. By slot: frames and seeds int64 [S]; temperatures float32 [S, 2] and
    top_k int64 [S, 2] for text and audio.
    """
    kind = min(channel, 1)
    noise = gumbel_noise(seeds[slots], frames[slots], range(channel, channel + 1), logits.shape[-1])[:, 0]
    return sample(logits.float(), noise, temperatures[slots, kind], top_k[slots, kind])


def sample(logits: Tensor, noise: Tensor, temperature: Tensor, top_k: Tensor) -> Tensor:
    """Tokens int64 [B]: a draw from softmax(logits / temperature) among each row's `top_k` largest logits.

    logits: float32 [B, V]; noise: [B, V], Gumbel, by token id; temperature: float32 [B], where 0 takes the
    largest logit; top_k: int64 [B], at least 1. Tokens that tie with the k-th are all kept.

    Adding Gumbel noise and taking the largest is a draw from the softmax, and renormalising what top-k keeps
    does not move the largest: the same distribution as upstream's `sample_token`. Nothing is sorted: the
    winner among all tokens is nearly always one of the largest, which to count those above it tells.
    """
    temperature = temperature[:, None]
    scores = torch.where(temperature > 0, logits / temperature + noise, logits)
    # Finite, so that who has dropped out is always behind.
    scores = scores.clamp_(min=torch.finfo(scores.dtype).min)
    while True:
        token = scores.argmax(dim=-1, keepdim=True)
        logit = logits.gather(-1, token)
        out = (logits > logit).sum(dim=-1, keepdim=True) >= top_k[:, None]
        if not out.any():
            return token[:, 0]
        scores.masked_fill_(out & (logits <= logit), float("-inf"))
