from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from torch import Tensor

from engine.kernels import ring_attention as kernels
from engine.models.attention import Window, next_positions, ring_attention, ring_write
from engine.models.config import KvPrecision
from engine.models.rope import Rotation, angles, rotation
from engine.state.ring_cache import RingCache, TransformerState

CAPACITY, DIM = 40, 24
OFFSETS = [0, 7, 31, 38, 39, 40, 77, 1000]
SLOTS = [4, 2, 7, 1, 0, 6, 3, 5]
KINDS = [
    ("exact", torch.float32),
    ("exact", torch.bfloat16),
    ("int8", torch.float32),
    ("int8", torch.bfloat16),
    ("e4m3", torch.bfloat16),
]
PRECISIONS = get_args(KvPrecision)
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@dataclass
class Rings:
    """Slots that have seen `OFFSETS` positions; whatever is made alike holds the same."""

    ring: RingCache
    state: TransformerState

    @property
    def device(self) -> torch.device:
        return self.state.offsets.device

    def window(self, slots: Tensor, count: int) -> Window:
        return Window(next_positions.plain(self.state.offsets, slots, count), CAPACITY)


Make = Callable[..., Rings]


@pytest.fixture
def rings(device: torch.device) -> Make:
    def make(kv: KvPrecision, dtype: torch.dtype, kv_heads: int = 2) -> Rings:
        torch.manual_seed(0)
        slots = len(OFFSETS)
        ring = RingCache(slots, kv_heads, CAPACITY, DIM, device, dtype, kv)
        state = TransformerState(slots, CAPACITY, [ring], device)
        for slot, offset in enumerate(OFFSETS):
            held = min(offset, CAPACITY)
            new = torch.randn(2, 1, kv_heads, held, DIM, device=device, dtype=dtype)
            cells = torch.arange(offset - held, offset, device=device)[None] % CAPACITY
            ring.write(torch.tensor([slot], device=device), cells, new[0], new[1])
            state.offsets[slot] = offset
        return Rings(ring, state)

    return make


def turn(positions: Tensor, interleaved: bool) -> Rotation:
    return rotation(positions, DIM, 10_000.0, interleaved)


def floats(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize == 1 else tensor


@pytest.mark.parametrize("count", [1, 3])
def test_positions_are_taken_once_and_by_none_for_padding(count: int, device: torch.device) -> None:
    offsets = torch.tensor([5, 0, 2**33], device=device)
    slots = torch.tensor([2, -1, 0], device=device)
    positions = next_positions.kernel(offsets, slots, count)
    first = torch.tensor([[2**33], [-1], [5]], device=device)
    expected = first + torch.arange(count, device=device)
    expected[1] = -1
    assert torch.equal(positions, expected)
    assert offsets.tolist() == [5 + count, 0, 2**33 + count]


def test_angles_are_the_plain_ones(device: torch.device) -> None:
    positions = torch.tensor([[0, 1], [2999, 3000], [44_999, 45_000]], device=device)
    for mine, theirs in zip(
        angles.kernel(positions, 48, 10_000.0), angles.plain(positions, 48, 10_000.0), strict=True
    ):
        assert mine.shape == (3, 2, 1, 24)
        # An angle of float32 that is large has no more digits after the point.
        torch.testing.assert_close(mine[:2], theirs[:2], atol=1e-3, rtol=0)
        torch.testing.assert_close(mine, theirs, atol=2e-2, rtol=0)


@pytest.mark.parametrize(("kv", "dtype"), KINDS)
@pytest.mark.parametrize(
    ("count", "heads", "interleaved"), [(1, 2, True), (2, 6, False), (5, 2, None)], ids=str
)
def test_what_is_written_is_what_the_plain_one_writes(
    kv: KvPrecision, dtype: torch.dtype, count: int, heads: int, interleaved: bool | None, rings: Make
) -> None:
    mine, theirs = rings(kv, dtype), rings(kv, dtype)
    slots = torch.tensor(SLOTS, device=mine.device)
    window = mine.window(slots, count)
    projected = torch.randn(len(SLOTS), count, (heads + 4) * DIM, device=mine.device).to(dtype)
    # Vectors that 8 bits cannot hold as they are.
    projected[0], projected[1], projected[2] = 0.0, projected[1] * 1e-7, projected[2] * 1e3
    turned = None if interleaved is None else turn(window.positions, interleaved)
    query = ring_write.kernel(projected, mine.ring, slots, window, turned)
    expected = ring_write.plain(projected, theirs.ring, slots, window, turned)
    # A product that is fused with a sum keeps digits that another one has lost: more where it is large.
    size = projected.float().abs().amax(dim=-1)[:, :, None, None].clamp(min=1e-30)
    torch.testing.assert_close(query / size, expected / size, rtol=TOLERANCE[dtype], atol=1e-6)
    # Turned by products that are fused with sums, a key may fall on the other side of a rounding.
    of_keys = {"exact": (1e-2, 1e-5), "int8": (0.0, 1.0), "e4m3": (0.13, 2**-9)}[kv]
    # The interpreter cuts off what is below the smallest normal 8-bit float.
    of_values = (0.0, 2**-9) if kv == "e4m3" else (0.0, 0.0)
    written = zip(mine.ring.tensors(), theirs.ring.tensors(), strict=True)
    for (kept, meant), (rtol, atol) in zip(
        written, (of_keys, of_values, (1e-2, 0.0), (0.0, 0.0)), strict=False
    ):
        torch.testing.assert_close(floats(kept), floats(meant), equal_nan=True, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("kv", "dtype"), KINDS)
@pytest.mark.parametrize(
    ("split", "count", "heads"),
    [(16, 1, 2), (16, 2, 4), (256, 1, 2), (256, 2, 2), (256, 5, 2), (256, 2, 6), (256, 20, 2)],
)
def test_attention_is_the_plain_one_before_at_and_after_the_wrap(
    kv: KvPrecision,
    dtype: torch.dtype,
    split: int,
    count: int,
    heads: int,
    rings: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "_SPLIT", split)
    kept = rings(kv, dtype)
    slots = torch.tensor(SLOTS if (split, count) == (256, 1) else SLOTS[:4], device=kept.device)
    window = kept.window(slots, count)
    projected = torch.randn(len(slots), count, (heads + 4) * DIM, device=kept.device).to(dtype)
    query = ring_write.plain(projected, kept.ring, slots, window, None)
    y = ring_attention.kernel(query, kept.ring, slots, window)
    expected = ring_attention.plain(query, kept.ring, slots, window)
    assert expected.isfinite().all()
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(y, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kv", PRECISIONS)
@pytest.mark.parametrize(("count", "split"), [(1, 16), (1, 256), (2, 16), (6, 256)])
def test_a_row_of_padding_is_zeros_and_touches_nothing(
    kv: KvPrecision, count: int, split: int, rings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_SPLIT", split)
    kept, alone = rings(kv, torch.float32), rings(kv, torch.float32)
    padded = torch.tensor([-1, 6, -1], device=kept.device)
    projected = torch.randn(3, count, 6 * DIM, device=kept.device)
    projected[::2] = float("nan")
    before = [floats(tensor).clone() for tensor in kept.ring.tensors()]

    def answer(rows: Tensor, slots: Tensor, of: Rings) -> Tensor:
        window = Window(next_positions.kernel(of.state.offsets, slots, count), CAPACITY)
        turned = Rotation(*angles.kernel(window.positions, DIM, 1e4), interleaved=True)
        query = ring_write.kernel(rows, of.ring, slots, window, turned)
        return ring_attention.kernel(query, of.ring, slots, window)

    y = answer(projected, padded, kept)
    assert torch.equal(y[::2], torch.zeros_like(y[::2]))
    assert torch.equal(y[1:2], answer(projected[1:2], padded[1:2], alone))
    others = [slot for slot in range(len(OFFSETS)) if slot != 6]
    for tensor, was in zip(kept.ring.tensors(), before, strict=True):
        torch.testing.assert_close(floats(tensor)[others], was[others], equal_nan=True, rtol=0, atol=0)
    assert kept.state.offsets[others].tolist() == [OFFSETS[slot] for slot in others]


def test_what_other_slots_hold_does_not_change_a_bit(rings: Make) -> None:
    kept = rings("exact", torch.float32)
    slots = torch.tensor([6, 1], device=kept.device)
    window = kept.window(slots, 1)
    query = torch.randn(2, 1, 2, DIM, device=kept.device)
    kept.ring.write(slots, window.cells, *torch.randn(2, 2, 2, 1, DIM, device=kept.device))
    y = ring_attention.kernel(query, kept.ring, slots, window)
    for tensor in kept.ring.tensors():
        tensor[[0, 2, 3, 4, 5, 7]] = float("nan")
    assert torch.equal(ring_attention.kernel(query, kept.ring, slots, window), y)
