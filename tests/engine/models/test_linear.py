from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from engine.models.float8 import Float8Linear
from engine.models.linear import AnyLinear, Int8Linear, Linear, linear, silu_gate
from engine.models.norm import LayerNorm, RMSNorm

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
    scale = torch.rand(96, generator=generator) + 0.1
    layer.get_parameter("weight_scb").copy_(scale)
    x = torch.randn(9, 64, generator=generator).to(dtype)
    weight = (layer.weight.float() * scale[:, None] / 127).to(dtype)
    assert torch.equal(layer(x), F.linear(x, weight))


@pytest.mark.parametrize("kind", [Linear, Int8Linear, Float8Linear])
def test_what_a_layer_does_besides_its_product_is_what_its_parts_would_do(kind: type[AnyLinear]) -> None:
    generator = torch.Generator().manual_seed(0)
    layer, (x, onto, weight) = kind(64, 96), torch.randn(3, 96, 96, generator=generator)
    x = x[None, :, :64].contiguous()
    if kind is Linear:
        layer.weight.copy_(weight[:, :64])
    else:
        layer.weight.copy_(kind.quantised(weight[:, :64])[0])
        layer.get_parameter("weight_scb").copy_(kind.quantised(weight[:, :64])[1])
    rms, mean = RMSNorm(64, f32=True), LayerNorm(64)
    for parameter in (rms.alpha, mean.weight, mean.bias):
        parameter.uniform_(0.5, 1.5, generator=generator)
    for norm in (rms, mean):
        alone = layer(norm(x))
        assert torch.equal(layer(x, norm, onto), onto + alone)
        assert torch.equal(layer.gated(x, norm), silu_gate(alone))


def test_one_product_of_stacked_matrices_is_that_of_each_to_the_last_bit(threads: int) -> None:
    x, weights = torch.randn(5, 176), torch.randn(8, 32, 176)
    each = [linear(x, weight) for weight in weights]
    assert torch.equal(linear(x, weights.flatten(0, 1)), torch.cat(each, dim=-1))
