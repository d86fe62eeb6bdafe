"""Keys and values of the positions that attention still sees, by slot."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.models.config import KvPrecision
from engine.state.slot_state import SlotState, born_nan, expect_shape

_MOST_E4M3 = 448.0
_MOST_POSITIONS = 1 << 40


class RingCache:
    """Keys and values of one layer, [S, H, C, head_dim]: position p lies at p mod C, written before it is
    read.

    kv: `exact` keeps them in `dtype`; `int8` with a scale for each position and head, float16 [S, H, C];
    `e4m3` as 8-bit floats without a scale. Freshness is not kept here: the positions that a slot has filled
    are known from its offset.
    """

    def __init__(
        self,
        slots: int,
        heads: int,
        capacity: int,
        head_dim: int,
        device: torch.device,
        dtype: torch.dtype,
        kv: KvPrecision = "exact",
    ) -> None:
        kept = {"exact": dtype, "int8": torch.int8, "e4m3": torch.float8_e4m3fn}[kv]
        self.keys = _born_unreadable(slots, heads, capacity, head_dim, device=device, dtype=kept)
        self.values = _born_unreadable(slots, heads, capacity, head_dim, device=device, dtype=kept)
        self.key_scales: Tensor | None = None
        self.value_scales: Tensor | None = None
        if kv == "int8":
            self.key_scales = born_nan(slots, heads, capacity, device=device, dtype=torch.float16)
            self.value_scales = born_nan(slots, heads, capacity, device=device, dtype=torch.float16)
        self._heads = torch.arange(heads, device=device)[None, :, None]

    def tensors(self) -> Iterator[Tensor]:
        """Keys, values and, where there are any, their scales: [S, H, C, ...] each."""
        yield self.keys
        yield self.values
        if self.key_scales is not None and self.value_scales is not None:
            yield self.key_scales
            yield self.value_scales

    def write(self, slots: Tensor, cells: Tensor, keys: Tensor, values: Tensor) -> None:
        """Puts keys and values [B, H, T, head_dim] into cells int64 [B, T]."""
        where = (slots[:, None, None], self._heads, cells[:, None, :])
        _put(self.keys, self.key_scales, where, keys)
        _put(self.values, self.value_scales, where, values)

    def read(self, slots: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Copies of the first `count` cells: keys and values [B, H, count, head_dim] in `dtype`."""
        keys = _gather(self.keys, self.key_scales, slots, count, dtype)
        return keys, _gather(self.values, self.value_scales, slots, count, dtype)


class TransformerState(SlotState):
    """How many positions each slot has seen, int64 [S], and the rings of all layers."""

    def __init__(self, slots: int, capacity: int, rings: Sequence[RingCache], device: torch.device) -> None:
        self.offsets = torch.zeros(slots, device=device, dtype=torch.int64)
        self.capacity = capacity
        self.rings = tuple(rings)

    def reset(self, slots: Tensor) -> None:
        """Nothing seen yet; the rings stay as they are, for nobody reads what the offset does not cover."""
        self.offsets.index_fill_(0, slots, 0)

    def tensors(self) -> Iterator[Tensor]:
        """`offsets`, then the tensors of the rings layer by layer."""
        yield self.offsets
        for ring in self.rings:
            yield from ring.tensors()

    def held(self, slot: int) -> Iterator[Tensor]:
        """As `tensors`; of the rings the cells that are filled. Waits for the device."""
        filled = min(int(self.offsets[slot]), self.capacity)
        yield self.offsets[slot]
        for ring in self.rings:
            for tensor in ring.tensors():
                yield tensor[slot, :, :filled]

    def check(self, held: Sequence[Tensor]) -> None:
        """Of the rings there is as much as the offset says."""
        offset, *rings = held
        if not 0 <= int(offset) < _MOST_POSITIONS:
            raise ValueError(f"an offset of {int(offset)}")
        filled = min(int(offset), self.capacity)
        _, *whole = self.tensors()
        for part, tensor in zip(rings, whole, strict=True):
            _slots, heads, _cells, *rest = tensor.shape
            expect_shape(part, [heads, filled, *rest])


def _born_unreadable(*shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """As `born_nan`; integers are 0, for their scales are born NaN."""
    if dtype.is_floating_point:
        return born_nan(*shape, device=device, dtype=dtype)
    return torch.zeros(shape, device=device, dtype=dtype)


def _put(kept: Tensor, scales: Tensor | None, where: tuple[Tensor, ...], new: Tensor) -> None:
    if scales is not None:
        scale = (new.float().abs().amax(dim=-1) / 127).half()
        # Too small for a float16: such a vector is zeros.
        step = scale.float().masked_fill(scale == 0, 1.0)[..., None]
        scales.index_put_(where, scale)
        kept.index_put_(where, (new.float() / step + 0.5).floor().clamp(-127, 127).to(torch.int8))
    elif kept.dtype == torch.float8_e4m3fn:
        # torch cannot index 8-bit floats. What is too large for one would become NaN.
        new = new.float().clamp(-_MOST_E4M3, _MOST_E4M3).to(kept.dtype)
        kept.view(torch.int8).index_put_(where, new.view(torch.int8))
    else:
        kept.index_put_(where, new)


def _gather(kept: Tensor, scales: Tensor | None, slots: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    if scales is not None:
        scale = scales[:, :, :count].index_select(0, slots).float()
        return (kept[:, :, :count].index_select(0, slots).float() * scale[..., None]).to(dtype)
    if kept.dtype == torch.float8_e4m3fn:
        return kept.view(torch.int8)[:, :, :count].index_select(0, slots).view(kept.dtype).to(dtype)
    return kept[:, :, :count].index_select(0, slots)
