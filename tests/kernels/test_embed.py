import pytest
import torch
from torch import Tensor

from engine.models.embedding import look_up, sum_up

DTYPES = [torch.float32, torch.bfloat16]


def table(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Eighths, few enough that their sums are exact: the interpreter cuts to bfloat16 and does not round."""
    eighths = torch.randint(-15, 16, shape, generator=torch.Generator().manual_seed(0))
    return (eighths / 8).to(device, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [32, 700])
def test_vectors_are_the_plain_ones_and_no_token_is_zeros(
    dtype: torch.dtype, width: int, device: torch.device
) -> None:
    vectors = table(9, width, dtype=dtype, device=device)
    tokens = torch.tensor([[3, -1], [8, 0]], device=device)
    ours = look_up.kernel(tokens, vectors)
    assert torch.equal(ours, look_up.plain(tokens, vectors))
    assert not ours[0, 1].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_are_added_onto_rows_that_lie_apart(dtype: torch.dtype, device: torch.device) -> None:
    vectors = table(9, 64, dtype=dtype, device=device)
    tokens = torch.tensor([5, -1, 0], device=device)
    apart = table(3, 8, 64, dtype=dtype, device=device)[:, 2]
    assert torch.equal(look_up.kernel(tokens, vectors, apart), look_up.plain(tokens, vectors, apart))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("positions", [1, 3])
def test_the_sum_over_channels_is_the_plain_one(
    dtype: torch.dtype, positions: int, device: torch.device
) -> None:
    tables = table(16, 9, 600, dtype=dtype, device=device)
    text_table = table(20, 600, dtype=dtype, device=device)
    tokens = torch.randint(-1, 9, (2, 17, positions), generator=torch.Generator().manual_seed(1)).to(device)
    tokens[1, :, 0] = -1
    ours = sum_up.kernel(tokens, tables, text_table)
    assert torch.equal(ours, sum_up.plain(tokens, tables, text_table))
    assert not ours[1, 0].any()


@pytest.mark.parametrize(("codes", "text", "total"), [((1.0, 1.0), 256.0, 258), ((256.0, 1.0), 1.0, 256)])
def test_a_sum_in_bfloat16_is_rounded_after_each_channel_the_text_last(
    codes: tuple[float, ...], text: float, total: int, device: torch.device
) -> None:
    """256 is followed by 258."""
    tables = torch.tensor(codes, device=device, dtype=torch.bfloat16).view(2, 1, 1)
    text_table = torch.full((1, 1), text, device=device, dtype=torch.bfloat16)
    tokens = torch.zeros(1, 3, 1, device=device, dtype=torch.int64)
    for function in (sum_up.plain, sum_up.kernel):
        assert function(tokens, tables, text_table).item() == total
