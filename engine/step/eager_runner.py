"""Runs the step op by op, on whatever device the model is on."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.state.slot_state import SlotState
from engine.state.snapshot import Copier, Done, Snapshot
from engine.step.frames import Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from engine.step.sound import to_float, to_int16


def to_device(pcm: NDArray[np.int16], device: torch.device) -> Tensor:
    """int16 samples of the host as float32 in -1..1 on `device`."""
    return to_float(torch.from_numpy(pcm).to(device))


def to_host(pcm: Tensor) -> NDArray[np.int16]:
    """float32 samples of a device as int16 on the host; what is louder than full scale is clipped."""
    return to_int16(pcm).cpu().numpy()


class EagerRunner:
    """A `Runner` over a `MoshiStep` on `device`; used from one thread alone."""

    def __init__(self, step: MoshiStep, device: torch.device) -> None:
        self._step = step
        self._device = device
        self._copier = Copier(device)

    @property
    def state(self) -> SlotState:
        """Of all its slots."""
        return self._step.state

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Give each slot a fresh state and prime it."""
        for slot, sampling in joins.items():
            self._step.join(slot, sampling)
        self._prime(list(joins))

    def prefill(self, slot: int, sampling: Sampling, prefix: NDArray[np.int64], positions: range) -> None:
        """Run `positions` of a prefix int64 [K, T]; with position 0 the slot gets a fresh state."""
        if positions.start == 0:
            self._step.join(slot, sampling)
        self._step.prefill(slot, torch.from_numpy(prefix), positions)

    def step(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> StepOutput:
        """Answer one frame of each slot. `pcm` is int16 [B, 1920]."""
        rows = torch.tensor(slots, device=self._device)
        out = self._step(rows, to_device(pcm, self._device))
        return StepOutput(
            pcm=to_host(out.pcm),
            text=out.text.cpu().numpy(),
            codes=out.codes.cpu().numpy(),
            user_codes=out.user_codes.cpu().numpy(),
        )

    def snapshot(self, slot: int) -> tuple[Snapshot, Done]:
        """Begin to copy out what the session in `slot` leaves behind, beside the steps of other slots."""
        return self._copier.snapshot(self._step.state, slot)

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        """Begin to copy a session into `slot`, out of this engine or another of its kind."""
        return self._copier.restore(self._step.state, slot, snapshot)

    def fill_context(self, positions: int) -> None:
        """As `MoshiStep.fill_context`, for sessions that have joined."""
        self._step.fill_context(positions)

    def _prime(self, slots: list[int]) -> None:
        self._step.prime(torch.tensor(slots, device=self._device))
