"""The one part that is learnt: Mimi's split residual quantizer, by principal components and k-means.

The first codebook sees the three strongest directions of the latents (how loud, which vowel), the other seven
the next 112. Directions are taken about zero and not about the mean, because silence is the zero latent and
must stay it: codeword 0 of every codebook is exactly zero and no other codeword comes near, so that silence
and noise below about -55 dBFS are eight times code 0, and eight times code 0 is digital silence.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.parrot.carriers import CARRIERS
from engine.parrot.shape import CARD, CODE_DIM, CODEBOOKS, LATENT

FIRST_DIRECTIONS = 3
ITERATIONS = 12
DEAD_ZONE = 0.6
"""Nearest that another codeword may come to the zero, in nepers over all carriers and both columns."""
_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Quantizer:
    """Float32 `weights` by their official names, and every latent's code in codebook 0, int64 [N]."""

    weights: dict[str, Tensor]
    first_codes: Tensor


@torch.no_grad()
def train_quantizer(latents: Tensor, seed: int) -> Quantizer:
    """Fit both halves to `latents`, float32 [N, 2 * CARRIERS]."""
    generator = torch.Generator().manual_seed(seed)
    directions = principal_directions(latents, FIRST_DIRECTIONS + CODE_DIM)
    loud = latents.norm(dim=1) > 3 * DEAD_ZONE
    weights: dict[str, Tensor] = {}
    codes = {}
    for name, basis, codebooks in (
        ("rvq_first", directions[:FIRST_DIRECTIONS], 1),
        ("rvq_rest", directions[FIRST_DIRECTIONS:], CODEBOOKS - 1),
    ):
        weights |= _projections(f"quantizer.{name}", basis)
        residual = F.pad(latents @ basis.T, (0, CODE_DIM - len(basis)))
        for index in range(codebooks):
            away_from_zero = loud & (residual.norm(dim=1) > DEAD_ZONE)
            codewords = _with_dead_zone(k_means(residual[away_from_zero], CARD, generator))
            codebook = f"quantizer.{name}.vq.layers.{index}._codebook"
            weights[f"{codebook}._initialized"] = torch.ones(1)
            weights[f"{codebook}.cluster_usage"] = torch.ones(CARD)
            weights[f"{codebook}.embedding_sum"] = codewords
            codes[name, index] = nearest(residual, codewords)
            residual = residual - codewords[codes[name, index]]
    return Quantizer(weights, codes["rvq_first", 0])


def principal_directions(latents: Tensor, count: int) -> Tensor:
    """The `count` orthogonal directions with most energy about zero, strongest first: [count, dimensions]."""
    energy = latents.double().T @ latents.double()
    ascending: Tensor = torch.linalg.eigh(energy).eigenvectors
    return ascending.T.flip(0)[:count].float()


def k_means(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` centres of `points`, by Lloyd's algorithm; one that loses all points starts anew at another."""
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(ITERATIONS):
        owner = nearest(points, centres)
        members = torch.bincount(owner, minlength=count)[:, None]
        means = torch.zeros_like(centres).index_add_(0, owner, points) / members.clamp(min=1)
        elsewhere = points[torch.randint(0, len(points), (count,), generator=generator)]
        centres = torch.where(members > 0, means, elsewhere)
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """Index of the centre that each point is nearest to, int64 [points]."""
    lengths = centres.square().sum(1)
    chunks = (points[start : start + _CHUNK] for start in range(0, len(points), _CHUNK))
    return torch.cat([(lengths - 2 * chunk @ centres.T).argmin(-1) for chunk in chunks])


def _with_dead_zone(codewords: Tensor) -> Tensor:
    """Codeword 0 at zero, all others at least DEAD_ZONE away; rounded as the file will hold them."""
    lengths = codewords.norm(dim=1, keepdim=True)
    pushed = codewords * (DEAD_ZONE / lengths.clamp(min=1e-3)).clamp(min=1)
    pushed[0] = 0
    rounded: Tensor = pushed.half().float()
    return rounded


def _projections(quantizer: str, basis: Tensor) -> dict[str, Tensor]:
    into, out_of = torch.zeros(CODE_DIM, LATENT, 1), torch.zeros(LATENT, CODE_DIM, 1)
    into[: len(basis), : 2 * CARRIERS, 0] = basis
    out_of[: 2 * CARRIERS, : len(basis), 0] = basis.T
    return {f"{quantizer}.input_proj.weight": into, f"{quantizer}.output_proj.weight": out_of}
