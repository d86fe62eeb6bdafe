import pytest
import torch

from engine.models.norm import rms_norm


@pytest.mark.parametrize("f32", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [64, 1000])
def test_the_norm_is_the_plain_one(width: int, dtype: torch.dtype, f32: bool, device: torch.device) -> None:
    x = 3 * torch.randn(2, 3, width, device=device, dtype=dtype)
    gain = torch.randn(1, 1, width, device=device, dtype=dtype)
    rtol, atol = (2e-2, 1e-2) if dtype == torch.bfloat16 else (1e-5, 1e-6)
    torch.testing.assert_close(
        rms_norm.kernel(x, gain, f32), rms_norm.plain(x, gain, f32), rtol=rtol, atol=atol
    )


def test_silence_stays_silence(device: torch.device) -> None:
    x, gain = torch.zeros(1, 1, 64, device=device), torch.ones(1, 1, 64, device=device)
    assert torch.equal(rms_norm.kernel(x, gain, True), x)
