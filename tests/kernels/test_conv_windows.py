import pytest
import torch

from engine.models.conv import conv_windows

# kernel, neighbours, positions, channels; 1200 are more than one tile.
SHAPES = [(7, 1, 2, 16), (3, 1, 2, 100), (7, 1, 1200, 1), (3, 2, 40, 16), (3, 1, 1, 5), (3, 1, 30, 64)]


@pytest.mark.parametrize("elu", [False, True])
@pytest.mark.parametrize(("kernel", "neighbours", "count", "channels"), SHAPES)
def test_windows_and_tails_are_the_plain_ones_from_frame_to_frame(
    kernel: int, neighbours: int, count: int, channels: int, elu: bool, device: torch.device
) -> None:
    tail = torch.randn(5, kernel - 1, channels, device=device)
    expected_tail = tail.clone()
    for frame_slots in ([4, 0, 2], [2, 4], [1]):
        slots = torch.tensor(frame_slots, device=device)
        x = torch.randn(len(slots), count, channels, device=device)
        windows = conv_windows.kernel(x, tail, slots, kernel, neighbours, elu)
        expected = conv_windows.plain(x, expected_tail, slots, kernel, neighbours, elu)
        torch.testing.assert_close(windows, expected)
        torch.testing.assert_close(tail, expected_tail)


def test_a_row_of_padding_is_zeros_and_changes_no_tail(device: torch.device) -> None:
    tail = torch.randn(2, 2, 8, device=device)
    before = tail.clone()
    x = torch.randn(3, 4, 8, device=device)
    x[[0, 2]] = float("nan")
    windows = conv_windows.kernel(x, tail, torch.tensor([-1, 1, -1], device=device), 3, 1, True)
    assert not windows[[0, 2]].any()
    assert windows[1].isfinite().all()
    assert torch.equal(tail[0], before[0])
    assert not torch.equal(tail[1], before[1])


def test_other_slots_full_of_nan_are_not_read(device: torch.device) -> None:
    tail = torch.full((3, 6, 8), float("nan"), device=device)
    tail[1] = 0.5
    windows = conv_windows.kernel(
        torch.ones(1, 2, 8, device=device), tail, torch.tensor([1], device=device), 7, 1, False
    )
    assert windows.isfinite().all()
    assert tail[[0, 2]].isnan().all()
