import pytest
import torch

from engine.models.conv import overlap_add


@pytest.mark.parametrize(("count", "width"), [(1, 20), (2, 1), (2, 600), (300, 16), (40, 88)])
def test_sums_and_tails_are_the_plain_ones_from_frame_to_frame(
    count: int, width: int, device: torch.device
) -> None:
    tail = torch.randn(5, 1, width, device=device)
    expected_tail = tail.clone()
    for frame_slots in ([4, 0, 2], [2, 4], [1]):
        slots = torch.tensor(frame_slots, device=device)
        pairs = torch.randn(len(slots), count, 2 * width, device=device)
        y = overlap_add.kernel(pairs, tail, slots)
        assert torch.equal(y, overlap_add.plain(pairs, expected_tail, slots))
        assert torch.equal(tail, expected_tail)


def test_a_row_of_padding_is_zeros_and_changes_no_tail(device: torch.device) -> None:
    tail = torch.full((3, 1, 8), float("nan"), device=device)
    tail[1] = 0.5
    pairs = torch.randn(3, 4, 16, device=device)
    pairs[[0, 2]] = float("nan")
    y = overlap_add.kernel(pairs, tail, torch.tensor([-1, 1, -1], device=device))
    assert not y[[0, 2]].any()
    assert y[1].isfinite().all()
    assert tail[[0, 2]].isnan().all()
    assert torch.equal(tail[1, 0], pairs[1, -1, 8:])
