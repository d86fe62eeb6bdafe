import pytest
import torch

from engine.models.float8 import round_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [48, 1000])
def test_rows_are_rounded_to_8_bits_as_the_plain_one_does(
    width: int, dtype: torch.dtype, device: torch.device
) -> None:
    # Down to where e4m3 has no exponents left.
    x = torch.randn(3, 1, width, device=device) * torch.logspace(-4, 2, width, device=device)
    rows, scales = round_rows.kernel(x.to(dtype))
    expected_rows, expected_scales = round_rows.plain(x.to(dtype))
    # On a GPU torch divides by a constant as it multiplies by the inverse, which moves the last bit.
    torch.testing.assert_close(scales, expected_scales)
    torch.testing.assert_close(rows.float(), expected_rows.float(), rtol=0.13, atol=2**-9)
    # And with it, rarely, what lies just between two.
    assert (rows.float() != expected_rows.float()).sum() <= 1


def test_a_norm_comes_first_where_one_is_given(device: torch.device) -> None:
    x, gain = torch.randn(3, 1, 200, device=device), torch.rand(1, 1, 200, device=device)
    rows, scales = round_rows.kernel(x, (gain, True))
    expected_rows, expected_scales = round_rows.plain(x, (gain, True))
    torch.testing.assert_close(scales, expected_scales)
    torch.testing.assert_close(
        rows.float() * scales, expected_rows.float() * expected_scales, rtol=0.07, atol=0.01
    )


def test_a_row_of_zeros_stays_one(device: torch.device) -> None:
    rows, scales = round_rows.kernel(torch.zeros(1, 64, device=device))
    assert not rows.float().any()
    assert scales.isfinite().all()
