"""Split residual vector quantisation (Moshi paper 3.3.2; `SplitResidualVectorQuantizer`)."""

import torch
from torch import Tensor, nn

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


class ResidualQuantizer(nn.Module):
    """Codebooks that each say what those before them left over."""

    tables: Tensor

    def __init__(self, config: QuantizerConfig, latent: int, codebooks: int) -> None:
        super().__init__()
        self._dim = config.dimension
        self.input_proj = Linear(latent, config.dimension)
        self.output_proj = Linear(config.dimension, latent)
        self.register_buffer("tables", torch.empty(codebooks, config.bins, config.dimension + 2))

    def encode(self, latent: Tensor, codebooks: int) -> Tensor:
        """Codes int64 [B, K] of latent [B, D] for the first K codebooks."""
        residual = self.input_proj(latent)
        codes = []
        for table in self.tables[:codebooks]:
            # As torch.cdist does it for large codebooks, root included: near ties fall on the same side.
            square = residual.square().sum(dim=-1, keepdim=True)
            distances = linear(torch.cat([residual * -2, square, torch.ones_like(square)], dim=-1), table)
            code = distances.clamp_(min=0).sqrt_().argmin(dim=-1)
            residual = residual - table[code, : self._dim]
            codes.append(code)
        return torch.stack(codes, dim=-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Latent [B, D] of codes int64 [B, K]."""
        books = torch.arange(codes.shape[1], device=codes.device)
        centroids = self.tables[books, codes, : self._dim]
        y: Tensor = self.output_proj(centroids.sum(dim=1))
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
            latent = latent + self.rvq_rest.decode(codes[:, 1:])
        return latent
