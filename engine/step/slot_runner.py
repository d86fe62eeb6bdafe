"""What every runner does with the slots of its step, whatever the model makes of a frame."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from engine.state.slot_state import SlotState
from engine.state.snapshot import Copier, Done, Snapshot
from engine.step.frames import Sampling


class SlottedStep(Protocol):
    """A step over slots (`MoshiStep`, `SttStep`)."""

    @property
    def state(self) -> SlotState:
        """Of all its slots."""

    def join(self, slot: int, sampling: Sampling) -> None:
        """Gives a slot to a new session."""

    def prime(self, slots: Tensor) -> None:
        """Makes fresh slots (int64 [B]) ready for their first frame."""

    def fill_context(self, positions: int) -> None:
        """Makes every slot that of a session `positions` frames old."""


class SlotRunner:
    """The part of a `Runner` that all models share; used from one thread alone."""

    def __init__(self, slotted: SlottedStep, device: torch.device) -> None:
        self._slotted = slotted
        self._device = device
        self._copier = Copier(device)

    @property
    def state(self) -> SlotState:
        """Of all its slots."""
        return self._slotted.state

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Give each slot a fresh state and prime it."""
        for slot, sampling in joins.items():
            self._slotted.join(slot, sampling)
        self._prime(list(joins))

    def snapshot(self, slot: int) -> tuple[Snapshot, Done]:
        """Begin to copy out what the session in `slot` leaves behind, beside the steps of other slots."""
        return self._copier.snapshot(self._slotted.state, slot)

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        """Begin to copy a session into `slot`, out of this engine or another of its kind."""
        return self._copier.restore(self._slotted.state, slot, snapshot)

    def fill_context(self, positions: int) -> None:
        """As `MoshiStep.fill_context`, for sessions that have joined."""
        self._slotted.fill_context(positions)

    def _prime(self, slots: list[int]) -> None:
        self._slotted.prime(torch.tensor(slots, device=self._device))
