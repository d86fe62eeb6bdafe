import pytest
import torch
from torch import Tensor

from engine.models.linear import Int8Linear, gated_product, product, silu_gate

# Closeness in bfloat16 is to the size of the sums' terms, which are about one.
CLOSE = {torch.float32: (1e-5, 1e-5), torch.bfloat16: (2e-2, 6e-2)}
DTYPES = [torch.float32, torch.bfloat16]
# Outputs and inputs: less than a tile, and several that end within one.
SHAPES = [(24, 40), (80, 264)]


class Case:
    """A product with all that can come before and after it."""

    def __init__(self, rows: int, outputs: int, inputs: int, dtype: torch.dtype, device: torch.device):
        generator = torch.Generator().manual_seed(0)

        def randn(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(device, dtype)

        self.x, self.onto, self.bias = randn(rows, 1, inputs), randn(rows, 1, outputs), randn(outputs)
        self.weight = randn(outputs, inputs) / inputs**0.5
        self.rms = (1 + randn(1, 1, inputs) / 4, True)
        self.eight, self.scale = Int8Linear.quantised(self.weight)

    def weights(self, kept: str) -> tuple[Tensor, Tensor | None]:
        return (self.eight, self.scale) if kept == "int8" else (self.weight, None)


def assert_close(y: Tensor, expected: Tensor) -> None:
    rtol, atol = CLOSE[expected.dtype]
    torch.testing.assert_close(y, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kept", ["exact", "int8"])
@pytest.mark.parametrize("rows", [1, 9, 33])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products_with_norm_bias_and_residual_are_the_plain_ones(
    outputs: int, inputs: int, rows: int, kept: str, dtype: torch.dtype, device: torch.device
) -> None:
    from engine.kernels.few_rows import streamed

    case = Case(rows, outputs, inputs, dtype, device)
    weight, scale = case.weights(kept)
    expected = product.plain(case.x, weight, scale, case.bias, case.rms, case.onto)
    assert_close(streamed(case.x, weight, scale, case.bias, case.rms, case.onto), expected)
    bare = product.plain(case.x, weight, scale)
    assert_close(streamed(case.x, weight, scale), bare)
    gated = silu_gate.plain(product.plain(case.x, weight, scale, rms=case.rms))
    assert_close(streamed(case.x, weight, scale, rms=case.rms, gated=True), gated)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("rows", "kept"), [(3, "exact"), (33, "int8")])
def test_a_product_in_parts_is_the_product(
    rows: int, kept: str, gated: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.kernels import few_rows

    monkeypatch.setattr(few_rows, "_WORTH_SPLITTING", 2**12)
    case = Case(rows, 60, 1000, torch.float32, device)
    weight, scale = case.weights(kept)
    assert few_rows.Tiling.of(rows, 30 if gated else 60, 1000, weight.element_size(), 4, gated).splits > 1
    after = {} if gated else {"bias": case.bias, "onto": case.onto}
    expected = product.plain(case.x, weight, scale, rms=case.rms, **after)
    y = few_rows.streamed(case.x, weight, scale, rms=case.rms, gated=gated, **after)
    assert_close(y, silu_gate.plain(expected) if gated else expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 24])
def test_whichever_way_is_taken_the_twins_agree(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    case = Case(rows, 48, 96, dtype, device)
    for bias in (None, case.bias):
        expected = product.plain(case.x, case.weight, None, bias, case.rms, case.onto)
        y = product.kernel(case.x, case.weight, None, bias, case.rms, case.onto.clone())
        assert_close(y, expected)
    assert_close(
        gated_product.kernel(case.x, case.weight, None, case.rms),
        gated_product.plain(case.x, case.weight, None, case.rms),
    )


def test_a_row_of_nan_leaves_its_neighbours_as_they_are(device: torch.device) -> None:
    from engine.kernels.few_rows import streamed

    case = Case(4, 40, 96, torch.bfloat16, device)
    before = streamed(case.x, case.weight, rms=case.rms)
    case.x[2] = float("nan")
    after = streamed(case.x, case.weight, rms=case.rms)
    assert torch.equal(after[[0, 1, 3]], before[[0, 1, 3]])
    assert after[2].isnan().all()


@pytest.mark.parametrize(
    ("rows", "itemsize"), [(1, 2), (12, 2), (16, 2), (1, 1), (16, 1), (24, 1), (40, 1), (80, 1), (250, 1)]
)
@pytest.mark.parametrize(("kilobytes", "activation"), [(99, 2), (163, 2), (227, 2), (227, 4)])
def test_the_tiles_of_the_7b_fit_a_multiprocessor(
    rows: int, itemsize: int, kilobytes: int, activation: int
) -> None:
    from engine.kernels.few_rows import Tiling

    big = [(12288, 4096, False), (4096, 4096, False), (11264, 4096, True), (4096, 11264, False)]
    small = [(3072, 1024, False), (1024, 1024, False), (2816, 1024, True), (1024, 2816, False)]
    for outputs, inputs, gated in [*big, *small, (32000, 4096, False)]:
        tiling = Tiling.of(rows, outputs, inputs, itemsize, activation, gated, kilobytes * 1024)
        weights = tiling.outputs * (2 if gated else 1) * itemsize
        shared = tiling.stages * tiling.inputs * (weights + activation * tiling.rows)
        assert shared <= kilobytes * 1024, tiling
        assert tiling.splits * tiling.span >= inputs > (tiling.splits - 1) * tiling.span
