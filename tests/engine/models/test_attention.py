import pytest
import torch
import torch.nn.functional as F

from engine.models import attention
from engine.models.attention import Window, ring_attention
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
            state.advance(one, 1)
    return ring, state


def test_cells_that_are_not_filled_do_not_count_whatever_they_hold() -> None:
    ring, state = filled(3, 6, [2, 6, 15])
    slots = torch.tensor([2, 0, 1])
    window = Window.ahead(state, slots, 1)
    new = torch.randn(3, 3, 2, 1, 4)
    ring.write(slots, window.cells, new[1], new[2])
    y = ring_attention(new[0], ring, slots, window)
    for row, (slot, seen) in enumerate(zip([2, 0, 1], [6, 3, 6], strict=True)):
        keys, values = ring.keys[slot, :, :seen], ring.values[slot, :, :seen]
        expected = F.scaled_dot_product_attention(new[0][row], keys, values)
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
    new = torch.randn(3, 5, 2, 2, 4)
    ring.write(slots, window.cells, new[1], new[2])
    whole = ring_attention(new[0], ring, slots, window)
    monkeypatch.setattr(attention, "_GATHERED_ELEMENTS", 2 * ring.keys[0].numel())
    assert torch.equal(ring_attention(new[0], ring, slots, window), whole)
