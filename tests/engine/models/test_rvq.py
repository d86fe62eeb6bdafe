import torch

from engine.models.config import QuantizerConfig
from engine.models.rvq import ResidualQuantizer, codebook_table


def quantizer(centroids: torch.Tensor) -> ResidualQuantizer:
    """One codebook whose projections do nothing."""
    bins, dim = centroids.shape
    made = ResidualQuantizer(QuantizerConfig(dimension=dim, n_q=1, bins=bins), dim, 1)
    for projection in (made.input_proj, made.output_proj):
        projection.weight.copy_(torch.eye(dim))
    made.tables[0] = codebook_table(centroids, torch.ones(bins))
    return made


def test_near_ties_fall_on_the_side_that_cdist_gives_them() -> None:
    """The root makes distances equal whose squares are not, and the first of equals wins."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(128, 16, generator=generator)
    centroids = torch.cat([half, half.nextafter(torch.tensor(9.0))])[torch.randperm(256, generator=generator)]
    latent = torch.randn(4000, 16, generator=generator)
    expected = torch.cdist(latent[None], centroids[None])[0].argmin(dim=-1)
    assert quantizer(centroids).encode(latent, 1)[:, 0].tolist() == expected.tolist()
    exact = torch.cdist(latent.double()[None], centroids.double()[None])[0].argmin(dim=-1)
    assert exact.tolist() != expected.tolist()


def test_a_centroid_is_a_sum_over_its_usage_and_an_unused_one_stays_finite() -> None:
    sums = torch.tensor([[2.0, 4.0], [1e-5, 0.0]])
    table = codebook_table(sums, torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(table, torch.tensor([[1.0, 2.0, 1.0, 5.0], [1.0, 0.0, 1.0, 1.0]]))


def test_codes_become_the_centroids_that_they_name() -> None:
    centroids = torch.randn(32, 8, generator=torch.Generator().manual_seed(1))
    one = quantizer(centroids)
    codes = torch.tensor([[3], [31], [0]])
    assert torch.equal(one.decode(codes), centroids[codes[:, 0]])
    assert one.encode(centroids[[3, 31, 0]], 1).tolist() == codes.tolist()
