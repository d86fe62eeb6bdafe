"""Runs the step op by op, on whatever device the model is on."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.step.frames import Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from engine.step.prefix import Prefix
from engine.step.slot_runner import SlotRunner
from engine.step.sound import to_float, to_int16


def to_device(pcm: NDArray[np.int16], device: torch.device) -> Tensor:
    """int16 samples of the host as float32 in -1..1 on `device`."""
    return to_float(torch.from_numpy(pcm).to(device))


def to_host(pcm: Tensor) -> NDArray[np.int16]:
    """float32 samples of a device as int16 on the host; what is louder than full scale is clipped."""
    return to_int16(pcm).cpu().numpy()


class EagerRunner(SlotRunner):
    """A `Runner` over a `MoshiStep` on `device`; used from one thread alone."""

    def __init__(self, step: MoshiStep, device: torch.device) -> None:
        super().__init__(step, device)
        self._step = step

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        """Run `positions` of a prefix; with position 0 the slot gets a fresh state."""
        if positions.start == 0:
            self._step.join(slot, sampling)
        elif positions.stop == prefix.length:
            # What ran before may have been another session's, and draws nothing.
            self._step.draw_as(slot, sampling)
        self._step.prefill(slot, prefix, positions)

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
