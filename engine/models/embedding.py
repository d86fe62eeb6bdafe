"""Tables that turn tokens into vectors (`ScaledEmbedding`)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kernels.fused import fused
from engine.models.linear import AnyLinear, Linear

NO_TOKEN = -1


@fused("embed")
def look_up(tokens: Tensor, table: Tensor, onto: Tensor | None = None) -> Tensor:
    """onto + the vectors of tokens int64 [...] in table [entries, E], [..., E]; of token -1 zeros."""
    vectors = table[tokens.clamp(min=0)].masked_fill((tokens == NO_TOKEN)[..., None], 0.0)
    return vectors if onto is None else onto + vectors


@fused("embed")
def sum_up(tokens: Tensor, tables: Tensor, text_table: Tensor) -> Tensor:
    """The sum of all channels' vectors, [B, T, E]; token -1 adds nothing.

    tokens: int64 [B, 1 + K, T], text first; tables: [K, entries, E]; text_table: [text entries, E].
    """
    return one_after_the_other(
        look_up_stacked(tokens[:, 1:], tables), look_up.plain(tokens[:, 0], text_table)
    )


def one_after_the_other(vectors: Tensor, last: Tensor) -> Tensor:
    """The sum of vectors [B, K, T, E] over K, and of `last`: in the reference's order, which shows in
    bfloat16.
    """
    x, *others = vectors.unbind(1)
    for more in (*others, last):
        x = x + more
    return x


def look_up_stacked(tokens: Tensor, tables: Tensor) -> Tensor:
    """The vectors of tokens int64 [B, K, T] in tables [K, entries, E], [B, K, T, E]; of token -1 zeros."""
    channels = torch.arange(tokens.shape[1], device=tokens.device)[:, None]
    return tables[channels, tokens.clamp(min=0)].masked_fill((tokens == NO_TOKEN)[..., None], 0.0)


def embed(tokens: Tensor, codes: "StackedEmbeddings", text: "Embedding") -> Tensor:
    """The sum of all channels' vectors, [B, T, E]. tokens: int64 [B, 1 + K, T], text first; -1: nothing."""
    if codes.norm_weight is None and text.is_table:
        return sum_up(tokens, codes.weight, text.weight)
    return one_after_the_other(codes(tokens[:, 1:]), text(tokens[:, 0]))


class StackedEmbeddings(nn.Module):
    """K tables of one shape, [K, entries, E], looked up together. Token -1 gives zeros.

    With `norm` a layer norm follows.
    """

    def __init__(self, tables: int, entries: int, dim: int, *, norm: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tables, entries, dim), requires_grad=False)
        self.norm_weight = nn.Parameter(torch.empty(tables, dim), requires_grad=False) if norm else None
        self.norm_bias = nn.Parameter(torch.empty(tables, dim), requires_grad=False) if norm else None

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, K, T, E]. tokens: int64 [B, K, T]."""
        vectors = look_up_stacked(tokens, self.weight)
        if self.norm_weight is None or self.norm_bias is None:
            return vectors
        vectors = F.layer_norm(vectors, vectors.shape[-1:], eps=1e-5)
        vectors = vectors * self.norm_weight[:, None] + self.norm_bias[:, None]
        return vectors.masked_fill((tokens == NO_TOKEN)[..., None], 0.0)


class Embedding(nn.Module):
    """One table [entries, E]. Token -1 gives zeros.

    With `norm` a layer norm follows; with `low_rank` the table is that narrow and a matrix widens it. With
    `demux` an id is a pair of tokens, (second + 1) * entries + first, each with its own matrix out of the one
    table; second -1 is none (Kyutai's text to speech).
    """

    def __init__(
        self,
        entries: int,
        dim: int,
        linear: type[AnyLinear] = Linear,
        *,
        low_rank: int | None = None,
        norm: bool = False,
        demux: bool = False,
    ) -> None:
        super().__init__()
        width = low_rank or dim
        self._entries = entries
        self.weight = nn.Parameter(torch.empty(entries, width), requires_grad=False)
        self.low_rank = linear(width, dim) if low_rank else None
        self.norm = nn.LayerNorm(width, eps=1e-5) if norm else None
        self.out1 = linear(width, dim) if demux else None
        self.out2 = linear(width, dim) if demux else None

    @property
    def is_table(self) -> bool:
        """Whether vectors are used as they lie in the table."""
        return self.norm is None and self.low_rank is None and self.out1 is None

    def forward(self, tokens: Tensor, onto: Tensor | None = None) -> Tensor:
        """onto + [..., D]. tokens: int64 [...]; -1 gives zeros."""
        if self.is_table:
            return look_up(tokens, self.weight, onto)
        vectors = self._widened(tokens)
        return vectors if onto is None else onto + vectors

    def _widened(self, tokens: Tensor) -> Tensor:
        absent = (tokens == NO_TOKEN)[..., None]
        tokens = tokens.clamp(min=0)
        if self.out1 is not None and self.out2 is not None:
            second = tokens // self._entries - 1
            y: Tensor = self.out1(self.weight[tokens % self._entries])
            y = y + self.out2(self.weight[second.clamp(min=0)]).masked_fill((second < 0)[..., None], 0.0)
            return y.masked_fill(absent, 0.0)
        vectors = self.weight[tokens]
        if self.norm is not None:
            vectors = self.norm(vectors)
        vectors = vectors.masked_fill(absent, 0.0)
        if self.low_rank is not None:
            vectors = self.low_rank(vectors)
        return vectors
