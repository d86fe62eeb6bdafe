import torch

from engine.models.conv import downsample_window, upsample


def test_windows_are_the_plain_ones_from_frame_to_frame_and_in_fresh_slots(device: torch.device) -> None:
    tail, fresh = torch.randn(5, 2, 24, device=device), torch.ones(5, dtype=torch.bool, device=device)
    expected_tail, expected_fresh = tail.clone(), fresh.clone()
    for frame_slots in ([4, 0, 2], [2, 1, 4], [0]):
        slots = torch.tensor(frame_slots, device=device)
        x = torch.randn(len(slots), 2, 24, device=device)
        window = downsample_window.kernel(x, tail, fresh, slots)
        assert torch.equal(window, downsample_window.plain(x, expected_tail, expected_fresh, slots))
        assert torch.equal(tail, expected_tail)
        assert torch.equal(fresh, expected_fresh)
    assert fresh.tolist() == [False, False, False, True, False]


def test_upsampling_is_the_plain_one_from_frame_to_frame(device: torch.device) -> None:
    tail, weight = torch.randn(5, 2, 300, device=device), torch.randn(4, 300, device=device)
    expected_tail = tail.clone()
    for frame_slots in ([4, 0, 2], [2, 1, 4]):
        slots = torch.tensor(frame_slots, device=device)
        x = torch.randn(len(slots), 1, 300, device=device)
        y = upsample.kernel(x, weight, tail, slots)
        torch.testing.assert_close(y, upsample.plain(x, weight, expected_tail, slots))
        assert torch.equal(tail, expected_tail)


def test_a_row_of_padding_is_zeros_and_changes_no_slot(device: torch.device) -> None:
    nan = float("nan")
    slots = torch.tensor([-1, 1, -1], device=device)
    tail, fresh = torch.full((3, 2, 8), nan, device=device), torch.ones(3, dtype=torch.bool, device=device)
    x = torch.full((3, 2, 8), nan, device=device)
    x[1] = 1
    window = downsample_window.kernel(x, tail, fresh, slots)
    assert torch.equal(window, torch.tensor([0.0, 1.0, 0.0], device=device)[:, None, None].expand(3, 1, 32))
    assert fresh.tolist() == [True, False, True]
    y = upsample.kernel(x[:, :1], torch.ones(4, 8, device=device), tail, slots)
    assert torch.equal(y, torch.tensor([0.0, 2.0, 0.0], device=device)[:, None, None].expand(3, 2, 8))
    assert tail[[0, 2]].isnan().all()
