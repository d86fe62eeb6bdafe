import pytest
import torch

from engine.models.linear import silu_gate


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [88, 1024, 1500])
def test_the_gate_is_the_plain_one(dtype: torch.dtype, width: int, device: torch.device) -> None:
    pair = torch.randn(3, 1, 2 * width, device=device, dtype=dtype)
    torch.testing.assert_close(silu_gate.kernel(pair), silu_gate.plain(pair))
