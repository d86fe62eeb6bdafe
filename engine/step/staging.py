"""Blocks of memory that cross between host and device in one copy."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class Staging:
    """Columns of up to `rows` rows, on the host and on the device; a block of fewer is packed as tightly.

    columns: type and width of each, the types with the most bytes first, so that all lie aligned.
    """

    def __init__(self, rows: int, columns: Sequence[tuple[torch.dtype, int]], device: torch.device) -> None:
        self._columns = tuple(columns)
        self._row_bytes = sum(dtype.itemsize * width for dtype, width in columns)
        size = rows * self._row_bytes
        # Pinned, for the device copies from no other memory by itself.
        self._host = torch.zeros(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._device = torch.zeros(size, dtype=torch.uint8, device=device)

    def on_host(self, rows: int) -> list[NDArray[Any]]:
        """The columns of a block of `rows` rows, [rows, width] each; always the same memory."""
        return [column.numpy() for column in self._split(self._host, rows)]

    def on_device(self, rows: int) -> list[Tensor]:
        """As `on_host`, there."""
        return self._split(self._device, rows)

    def send(self, rows: int) -> None:
        """Starts the copy of a block to the device."""
        self._copy(self._device, self._host, rows)

    def fetch(self, rows: int) -> None:
        """Starts the copy of a block to the host."""
        self._copy(self._host, self._device, rows)

    def _copy(self, to: Tensor, source: Tensor, rows: int) -> None:
        size = rows * self._row_bytes
        to[:size].copy_(source[:size], non_blocking=True)

    def _split(self, memory: Tensor, rows: int) -> list[Tensor]:
        sizes = [rows * dtype.itemsize * width for dtype, width in self._columns]
        parts = torch.split(memory[: rows * self._row_bytes], sizes)
        return [
            part.view(dtype).view(rows, width)
            for part, (dtype, width) in zip(parts, self._columns, strict=True)
        ]
