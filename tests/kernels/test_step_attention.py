import pytest
import torch

from engine.models.depformer import step_attention

STEPS, HEAD_DIM = 5, 24


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2)])
def test_a_frame_step_by_step_is_the_plain_one(
    heads: int, kv_heads: int, dtype: torch.dtype, device: torch.device
) -> None:
    # What later steps will write is not there yet, and may be anything.
    keys = torch.full((3, kv_heads, STEPS, HEAD_DIM), float("nan"), device=device, dtype=dtype)
    values, plain_keys, plain_values = keys.clone(), keys.clone(), keys.clone()
    rtol, atol = (2e-2, 2e-2) if dtype == torch.bfloat16 else (1e-5, 1e-6)
    for step in range(STEPS):
        width = (heads + 2 * kv_heads) * HEAD_DIM
        projected = torch.randn(3, 1, width, device=device, dtype=dtype)
        y = step_attention.kernel(projected, keys, values, step)
        expected = step_attention.plain(projected, plain_keys, plain_values, step)
        torch.testing.assert_close(y, expected, rtol=rtol, atol=atol)
        torch.testing.assert_close(keys, plain_keys, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(values, plain_values, rtol=0, atol=0, equal_nan=True)
