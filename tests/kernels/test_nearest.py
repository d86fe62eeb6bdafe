import pytest
import torch
from torch import Tensor

from engine.models.linear import linear
from engine.models.rvq import codebook_table, nearest, search_row, sum_of_centroids


def tables(count: int, bins: int, dim: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sums = (torch.randn(bins, dim, generator=generator) for _ in range(count))
    return torch.stack([codebook_table(each, torch.ones(bins)) for each in sums]).to(device)


@pytest.mark.parametrize(("bins", "dim"), [(2048, 256), (48, 24)])
def test_codes_and_what_they_leave_over_are_the_plain_ones(bins: int, dim: int, device: torch.device) -> None:
    latent = torch.randn(5, dim, generator=torch.Generator().manual_seed(1)).to(device)
    ours, plain = search_row.kernel(latent), search_row.plain(latent)
    torch.testing.assert_close(ours, plain)
    for table in tables(3, bins, dim, device):
        code, ours = nearest.kernel(linear(ours, table), ours, table)
        expected, plain = nearest.plain(linear(plain, table), plain, table)
        assert torch.equal(code, expected)
        torch.testing.assert_close(ours, plain)


def test_near_ties_fall_on_the_side_that_the_root_gives_them(device: torch.device) -> None:
    """The root makes distances equal whose squares are not, and the first of equals wins."""
    table = tables(1, 8, 4, device)[0]
    square = torch.full((2, 8), 5.0, device=device)
    square[0, 3] = square[0, 6] = 2.0
    square[0, 6] = square[0, 6].nextafter(torch.tensor(0.0))
    square[1, 5] = -1e-7
    square[1, 2] = -0.5
    searched = search_row.plain(torch.ones(2, 4, device=device))
    expected = nearest.plain(square.clone(), searched, table)[0].tolist()
    assert nearest.kernel(square, searched, table)[0].tolist() == expected == [3, 2]


def test_a_row_that_is_no_number_gives_a_code_and_leaves_its_neighbours_alone(device: torch.device) -> None:
    table = tables(1, 48, 24, device)[0]
    searched = search_row.plain(torch.randn(3, 24, device=device))
    distances = linear(searched, table)
    expected, left = nearest.kernel(distances, searched, table)
    distances[1], searched[1] = float("nan"), float("nan")
    code, still_left = nearest.kernel(distances, searched, table)
    assert 0 <= code[1] < 48
    assert torch.equal(code[::2], expected[::2])
    assert torch.equal(still_left[::2], left[::2])


@pytest.mark.parametrize("first", [0, 1])
def test_codes_become_the_sum_of_the_centroids_that_they_name(first: int, device: torch.device) -> None:
    codes = torch.tensor([[3, 0, 47, 1], [11, 12, 13, 14]], device=device)[:, first:]
    books = tables(6, 48, 24, device)
    torch.testing.assert_close(
        sum_of_centroids.kernel(codes, books), sum_of_centroids.plain(codes, books), rtol=1e-6, atol=1e-6
    )
