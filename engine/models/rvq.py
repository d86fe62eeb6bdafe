"""Split residual vector quantisation (Moshi paper 3.3.2; `SplitResidualVectorQuantizer`)."""

import torch
from torch import Tensor, nn

from engine.kernels.fused import fused
from engine.models.config import QuantizerConfig
from engine.models.linear import Linear, linear

_EPSILON = 1e-5


def codebook_table(embedding_sum: Tensor, cluster_usage: Tensor) -> Tensor:
    """Centroids c of a codebook as rows [c, 1, |c|^2], float32 [bins, D + 2]: what a search multiplies with.

    embedding_sum: [bins, D], cluster_usage: [bins], as in the official files.
    """
    centroids = embedding_sum.float() / cluster_usage.float().clamp(min=_EPSILON)[:, None]
    squares = centroids.square().sum(dim=-1, keepdim=True)
    return torch.cat([centroids, torch.ones_like(squares), squares], dim=-1)


@fused("nearest")
def search_row(residual: Tensor) -> Tensor:
    """Vectors r [B, D] as rows [-2 r, |r|^2, 1], [B, D + 2]: times a row of a table, the squared distance."""
    squares = residual.square().sum(dim=-1, keepdim=True)
    return torch.cat([residual * -2, squares, torch.ones_like(squares)], dim=-1)


@fused("nearest")
def nearest(distances: Tensor, searched: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Code int64 [B] of the nearest centroid, and the `search_row` [B, D + 2] of what it leaves over.

    distances: squared ones, float32 [B, bins], overwritten; searched: [B, D + 2]; table: [bins, D + 2].
    """
    # The root is torch.cdist's, as is the form of the squares: near ties fall on the same side.
    code = distances.clamp_(min=0).sqrt_().argmin(dim=-1)
    return code, search_row(searched[:, :-2] * -0.5 - table[code, :-2])


@fused("nearest")
def sum_of_centroids(codes: Tensor, tables: Tensor) -> Tensor:
    """[B, D] of codes int64 [B, K] in the first K of tables [codebooks, bins, D + 2]."""
    books = torch.arange(codes.shape[1], device=codes.device)
    return tables[books, codes, :-2].sum(dim=1)


class ResidualQuantizer(nn.Module):
    """Codebooks that each say what those before them left over."""

    tables: Tensor

    def __init__(self, config: QuantizerConfig, latent: int, codebooks: int) -> None:
        super().__init__()
        self.input_proj = Linear(latent, config.dimension)
        self.output_proj = Linear(config.dimension, latent)
        self.register_buffer("tables", torch.empty(codebooks, config.bins, config.dimension + 2))

    def encode(self, latent: Tensor, codebooks: int) -> Tensor:
        """Codes int64 [B, K] of latent [B, D] for the first K codebooks."""
        searched = search_row(self.input_proj(latent))
        codes = []
        for table in self.tables[:codebooks]:
            code, searched = nearest(linear(searched, table), searched, table)
            codes.append(code)
        return torch.stack(codes, dim=-1)

    def decode(self, codes: Tensor, onto: Tensor | None = None) -> Tensor:
        """onto + latent [B, D] of codes int64 [B, K]."""
        y: Tensor = self.output_proj(sum_of_centroids(codes, self.tables), onto=onto)
        return y


class SplitQuantizer(nn.Module):
    """One semantic codebook and a chain of acoustic ones, both on the same latent."""

    def __init__(self, config: QuantizerConfig, latent: int) -> None:
        super().__init__()
        self.codebooks = config.n_q
        self.rvq_first = ResidualQuantizer(config, latent, 1)
        self.rvq_rest = ResidualQuantizer(config, latent, config.n_q - 1)

    def encode(self, latent: Tensor, codebooks: int) -> Tensor:
        """Codes int64 [B, K], the semantic one first. latent: [B, D]; K in 1..`codebooks` of the model."""
        semantic = self.rvq_first.encode(latent, 1)
        if codebooks == 1:
            return semantic
        return torch.cat([semantic, self.rvq_rest.encode(latent, codebooks - 1)], dim=-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Latent [B, D] of codes int64 [B, K], each in 0..bins - 1."""
        latent: Tensor = self.rvq_first.decode(codes[:, :1])
        if codes.shape[1] > 1:
            latent = self.rvq_rest.decode(codes[:, 1:], onto=latent)
        return latent
