"""What memory a device has left, and its end as an error that says what would fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from engine.cgroup import left_bytes
from engine.checkpoint import Model, load
from engine.errors import SettingError
from engine.step.capacity import GRAPH_BYTES, MOST_SLOTS, SLACK_BYTES, Beside, Variant, as_text

_MEMINFO = Path("/proc/meminfo")
_SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of a device: `free`, None where the system does not tell; what steps take `beside` weights and
    state.
    """

    free: int | None
    beside: int

    @classmethod
    def on(cls, device: torch.device) -> Self:
        """As it is now."""
        if device.type == "cuda":
            return cls(int(torch.cuda.mem_get_info(device)[0]), GRAPH_BYTES + SLACK_BYTES)
        if device.type == "mps":
            return cls(int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()), 0)
        if not _MEMINFO.exists():
            return cls(None, 0)
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        available, left = 1024 * int(lines["MemAvailable"].split()[0]), left_bytes()
        return cls(available if left is None else min(available, left), 0)

    def slots(self, variant: Variant) -> int:
        """How many slots fit, 0 to 1024."""
        if self.free is None:
            return MOST_SLOTS
        return variant.sizes().slots_in(self.free - self.beside)

    def check(self, variant: Variant, slots: int) -> None:
        """Raises SettingError where weights and slots alone are more than is free, before they are loaded."""
        sizes = variant.sizes()
        if self.free is not None and sizes.weights + slots * sizes.slot > self.free:
            raise SettingError(self.too_little_for(variant, slots))

    def too_little_for(self, variant: Variant, slots: int) -> str:
        """The sizes, and the settings that would fit."""
        sizes = variant.sizes()
        total = sizes.weights + slots * sizes.slot + self.beside
        beside = f", about {as_text(self.beside)} beside them" if self.beside else ""
        text = (
            f"not enough memory for {variant.checkpoint}: weights {as_text(sizes.weights)}, slots {slots} x "
            f"{as_text(sizes.slot)}{beside}: {as_text(total)}"
        )
        if self.free is None:
            return f"{text}\ngive fewer with --slots, or take --kv int8 or --weights int8"
        fitting = ", or ".join(self._fitting(variant, slots))
        return (
            f"{text}; {as_text(self.free)} are free\n"
            f"what fits: {fitting or 'nothing of it; take a smaller checkpoint or another device'}"
        )

    def _fitting(self, variant: Variant, slots: int) -> Iterator[str]:
        best = 0
        for other in variant.smaller():
            # As it is it did not fit, whatever the sizes say.
            most = slots - 1 if other == variant else slots
            count = min(most, self.slots(other))
            if count > best:
                best = count
                yield f"{other.options()} --slots {count}".lstrip()


def load_into(variant: Variant, device: torch.device) -> Model:
    """The model of `variant` on `device`, for one session at least.

    Raises CheckpointError; SettingError that says what would fit, where it can be known before it is loaded.
    """
    room = Room.on(device)
    room.check(variant, slots=1)
    with enough_memory(lambda: room.too_little_for(variant, slots=1)):
        return load(variant.checkpoint, device, variant.dtype, variant.weights, variant.lora)


@contextmanager
def room_for(beside: Beside, device: torch.device, what: str, option: str) -> Iterator[None]:
    """Around what loads a model beside another: raises SettingError where memory is too small, at once if
    that is known. what, option: what its sessions are called, and where their number is set.
    """
    room, sizes = Room.on(device), beside.variant.sizes()
    free = "" if room.free is None else f"; {as_text(room.free)} are free"
    complaint = (
        f"not enough memory for {beside.variant.checkpoint}: weights {as_text(sizes.weights)}, {what} "
        f"{beside.sessions} x {as_text(sizes.slot)}: {as_text(beside.taken)}{free}\n"
        f"give fewer with {option}, or take a smaller model"
    )
    if room.free is not None and beside.taken > room.free:
        raise SettingError(complaint)
    with enough_memory(lambda: complaint):
        yield


def out_of_memory(error: RuntimeError) -> bool:
    """Whether this is what torch, CUDA or Triton say when memory has ended."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _SIGNS)


@contextmanager
def enough_memory(complaint: Callable[[], str]) -> Iterator[None]:
    """Turns whatever torch says when memory has ended into a SettingError."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise SettingError(complaint()) from None
        raise
