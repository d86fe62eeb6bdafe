"""Attention to what a session was told when it began: a voice."""

import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.attention import products
from engine.models.config import TransformerConfig
from engine.models.linear import AnyLinear
from engine.models.norm import Norm
from engine.state.told_cache import ToldCache


class CrossAttention(nn.Module):
    """Cross-attention of one layer, whose keys and values are computed once a session."""

    def __init__(self, config: TransformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self._heads = config.heads
        self.query_proj = linear(config.dim, config.dim)
        self.key_value_proj = linear(config.dim, 2 * config.dim)
        self.out_proj = linear(config.dim, config.dim)

    def tell(self, told: Tensor, cache: ToldCache, slot: int) -> None:
        """Keeps keys and values of `told` [L, D] for the session in `slot`."""
        pairs = self.key_value_proj(told).unflatten(-1, (2, self._heads, -1))
        keys, values = pairs.permute(1, 2, 0, 3)
        cache.write(slot, keys, values)

    def forward(
        self, x: Tensor, norm: Norm, cache: ToldCache, slots: Tensor, onto: Tensor | None = None
    ) -> Tensor:
        """onto + attention of norm(x) to what each slot was told, [B, T, D]."""
        query = self.query_proj(x, norm).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        attend = attend_by_rows if x.is_cpu else attend_at_once
        heard = attend(query, *cache.read(slots))
        y: Tensor = self.out_proj(heard.transpose(1, 2).flatten(2), onto=onto)
        return y


def attend_by_rows(query: Tensor, keys: Tensor, values: Tensor, unfilled: Tensor) -> Tensor:
    """Softmax attention of query [B, H, T, D], as query, to keys and values [B, H, L, D] but for those that
    are unfilled, bool [B, L].

    To the last bit the same for a row beside any other, for empty cells are there for all.
    """
    rows = query.flatten(0, 1)
    scores = products(rows, keys.flatten(0, 1).transpose(1, 2)).float() * query.shape[-1] ** -0.5
    scores = scores.view(*query.shape[:-1], -1).masked_fill_(unfilled[:, None, None], float("-inf"))
    weights = scores.softmax(dim=-1).to(values.dtype)
    return products(weights.flatten(0, 1), values.flatten(0, 1)).view_as(query)


def attend_at_once(query: Tensor, keys: Tensor, values: Tensor, unfilled: Tensor) -> Tensor:
    """As `attend_by_rows`, as fast as the device can, and rounded in other ways."""
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=~unfilled[:, None, None])
