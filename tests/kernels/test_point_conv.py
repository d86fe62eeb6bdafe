import pytest
import torch

from engine.models.conv import elu_point_conv


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(6, 8, 16), (70, 40, 100), (600, 2, 4), (2, 64, 64)])
def test_the_end_of_a_residual_block_is_the_plain_one(
    rows: int, inputs: int, outputs: int, device: torch.device
) -> None:
    x, onto = torch.randn(2, rows, inputs, device=device), torch.randn(2, rows, outputs, device=device)
    weight, bias = torch.randn(outputs, inputs, device=device), torch.randn(outputs, device=device)
    before = onto.clone()
    y = elu_point_conv.kernel(x, weight, bias, onto)
    assert torch.equal(onto, before)
    torch.testing.assert_close(y, elu_point_conv.plain(x, weight, bias, onto))
