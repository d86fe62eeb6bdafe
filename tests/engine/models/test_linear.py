from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from engine.models.linear import Int8Linear, linear

# (in, out) of the products in Mimi and the language model, small and full size.
SHAPES = [
    (7, 16),
    (48, 8),
    (320, 64),
    (768, 144),
    (2048, 256),
    (144, 432),
    (640, 144),
    (114, 1024),
    (512, 2048),
]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_a_row_comes_out_the_same_to_the_last_bit_in_any_batch(
    inputs: int, outputs: int, threads: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, inputs, generator=generator)
    weight = torch.randn(outputs, inputs, generator=generator)
    bias = torch.randn(outputs, generator=generator)
    alone = torch.stack([linear(row[None], weight, bias)[0] for row in x])
    for batch in [*range(1, 18), 31, 40]:
        rows = torch.randperm(40, generator=generator)[:batch]
        assert torch.equal(linear(x[rows], weight, bias), alone[rows]), batch
    torch.testing.assert_close(alone, F.linear(x, weight, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bit_weights_give_what_their_dequantised_ones_give(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Int8Linear(64, 96)
    layer.weight.random_(-127, 128, generator=generator)
    layer.weight_scb.uniform_(0.1, 2.0, generator=generator)
    x = torch.randn(9, 64, generator=generator).to(dtype)
    weight = (layer.weight.float() * layer.weight_scb[:, None] / 127).to(dtype)
    assert torch.equal(layer(x), F.linear(x, weight))
