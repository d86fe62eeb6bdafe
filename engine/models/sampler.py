"""From logits to a token, without a random state of its own."""

import torch
from torch import Tensor


def sample(logits: Tensor, noise: Tensor, temperature: Tensor, top_k: Tensor) -> Tensor:
    """Tokens int64 [B]: a draw from softmax(logits / temperature) among each row's `top_k` largest logits.

    logits: float32 [B, V]; noise: [B, V], Gumbel, by token id; temperature: float32 [B], where 0 takes the
    largest logit; top_k: int64 [B], at least 1. Tokens that tie with the k-th are all kept.

    Adding Gumbel noise and taking the largest is a draw from the softmax, and renormalising what top-k keeps
    does not move the largest: the same distribution as upstream's `sample_token`.
    """
    greedy = temperature[:, None] <= 0
    scores = torch.where(greedy, logits, logits / torch.where(greedy, 1.0, temperature[:, None]) + noise)
    return scores.masked_fill(logits < _kth_largest(logits, top_k), float("-inf")).argmax(dim=-1)


def _kth_largest(logits: Tensor, top_k: Tensor) -> Tensor:
    """[B, 1]. Rows that all want the same k need no sorting, which is most of the work."""
    vocabulary = logits.shape[-1]
    top_k = top_k.clamp(max=vocabulary)
    # Elsewhere than on CPU, waiting to know would cost more than sorting everything.
    least, most = (int(bound) for bound in top_k.aminmax()) if top_k.is_cpu else (1, vocabulary)
    largest = logits.topk(most, dim=-1, sorted=least < most).values
    if least == most:
        return largest.amin(dim=-1, keepdim=True)
    return largest.gather(-1, top_k[:, None] - 1)
