import pytest
import torch
import torch.nn.functional as F

from engine.models import attention
from engine.models.attention import Window, ring_attention
from engine.models.config import KvPrecision
from engine.state.ring_cache import RingCache, TransformerState


def filled(
    slots: int, capacity: int, offsets: list[int], heads: int = 2
) -> tuple[RingCache, TransformerState]:
    """A ring whose slots have seen `offsets` positions; cells that they have not filled are still NaN."""
    generator = torch.Generator().manual_seed(0)
    device = torch.device("cpu")
    ring = RingCache(slots, heads, capacity, 4, device, torch.float32)
    state = TransformerState(slots, capacity, [ring], device)
    for slot, offset in enumerate(offsets):
        for _ in range(offset):
            one = torch.tensor([slot])
            new = torch.randn(2, 1, heads, 1, 4, generator=generator)
            ring.write(one, Window.ahead(state, one, 1).cells, new[0], new[1])
    return ring, state


def test_cells_that_are_not_filled_do_not_count_whatever_they_hold() -> None:
    ring, state = filled(3, 6, [2, 6, 15])
    slots = torch.tensor([2, 0, 1])
    window = Window.ahead(state, slots, 1)
    query = torch.randn(3, 1, 2, 4)
    ring.write(slots, window.cells, *torch.randn(2, 3, 2, 1, 4))
    y = ring_attention(query, ring, slots, window)
    for row, (slot, seen) in enumerate(zip([2, 0, 1], [6, 3, 6], strict=True)):
        keys, values = ring.keys[slot, :, :seen], ring.values[slot, :, :seen]
        expected = F.scaled_dot_product_attention(query[row].transpose(0, 1), keys, values)
        torch.testing.assert_close(y[row, 0], expected[:, 0].flatten())


def test_of_two_new_positions_the_first_has_lost_the_oldest_at_the_wrap() -> None:
    _, state = filled(1, 4, [4])
    slots = torch.tensor([0])
    window = Window.ahead(state, slots, 2)
    assert window.positions.tolist() == [[4, 5]]
    assert window.cells.tolist() == [[0, 1]]
    # Cells now hold positions 4, 5, 2, 3: the query at 4 sees three of them, not four.
    assert (~window.unseen).tolist() == [[[True, False, True, True], [True, True, True, True]]]


def test_rows_gathered_in_pieces_are_those_gathered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, state = filled(5, 6, [1, 4, 6, 9, 30])
    slots = torch.tensor([4, 1, 0, 3, 2])
    window = Window.ahead(state, slots, 2)
    query = torch.randn(5, 2, 2, 4)
    ring.write(slots, window.cells, *torch.randn(2, 5, 2, 2, 4))
    whole = ring_attention(query, ring, slots, window)
    monkeypatch.setattr(attention, "_GATHERED_ELEMENTS", 2 * ring.keys[0].numel())
    assert torch.equal(ring_attention(query, ring, slots, window), whole)


def drawn(rows: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [B, T, H, D], keys and values [B, H, T, D]."""
    return torch.randn(rows, count, 2, 16), torch.randn(rows, 2, count, 16), torch.randn(rows, 2, count, 16)


def answer(
    ring: RingCache, state: TransformerState, slots: list[int], new: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    query, keys, values = new
    rows = torch.tensor(slots)
    window = Window.ahead(state, rows, query.shape[1])
    ring.write(rows, window.cells, keys, values)
    return ring_attention(query, ring, rows, window)


def empty(
    slots: int, capacity: int, kv: KvPrecision = "exact", dtype: torch.dtype = torch.float32
) -> tuple[RingCache, TransformerState]:
    device = torch.device("cpu")
    ring = RingCache(slots, 2, capacity, 16, device, dtype, kv)
    return ring, TransformerState(slots, capacity, [ring], device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_at_once_are_those_one_by_one_to_the_bit(dtype: torch.dtype) -> None:
    at_once, one_by_one = empty(1, 300, dtype=dtype), empty(1, 300, dtype=dtype)
    query, keys, values = (tensor.to(dtype) for tensor in drawn(1, 200))
    y = answer(*at_once, [0], (query, keys, values))
    for t in range(200):
        one = query[:, t : t + 1], keys[:, :, t : t + 1], values[:, :, t : t + 1]
        assert torch.equal(answer(*one_by_one, [0], one)[:, 0], y[:, t])


def test_a_neighbour_with_a_longer_context_does_not_change_a_bit() -> None:
    alone, in_company = empty(1, 300), empty(2, 300)
    answer(*in_company, [1], drawn(1, 290))
    for _ in range(70):
        new = drawn(1, 1)
        both = tuple(torch.cat([tensor, torch.randn_like(tensor)]) for tensor in new)
        assert torch.equal(answer(*in_company, [0, 1], both)[:1], answer(*alone, [0], new))


@pytest.mark.parametrize(
    ("capacity", "seen", "read"), [(300, 1, 64), (300, 64, 64), (300, 65, 128), (300, 999, 300)]
)
def test_only_what_is_filled_is_read(capacity: int, seen: int, read: int) -> None:
    _, state = empty(2, capacity)
    state.offsets.copy_(torch.tensor([seen - 1, 0]))
    assert Window.ahead(state, torch.tensor([0, 1]), 1).reach == read


def test_eight_bit_integers_with_scales_err_four_times_less_than_eight_bit_floats() -> None:
    new, query = drawn(4, 500), torch.randn(4, 1, 2, 16)
    window = Window(torch.full((4, 1), 499), 500)
    rows = torch.arange(4)

    def error(kv: KvPrecision) -> float:
        answers = []
        for precision in ("exact", kv):
            ring, state = empty(4, 500, precision)
            answer(ring, state, [0, 1, 2, 3], new)
            answers.append(ring_attention(query, ring, rows, window))
        return float((answers[1] - answers[0]).norm() / answers[0].norm())

    assert error("int8") < 0.02
    assert 3 * error("int8") < error("e4m3") < 0.08


@pytest.mark.parametrize("kv", ["int8", "e4m3"])
def test_what_is_too_large_or_too_small_for_eight_bits_stays_finite(kv: KvPrecision) -> None:
    ring, state = empty(1, 8, kv)
    query, keys, values = drawn(1, 3)
    values[:, :, 0], values[:, :, 1], values[:, :, 2] = 0.0, 1e-9, 1e5
    assert answer(ring, state, [0], (query, keys, values)).isfinite().all()
