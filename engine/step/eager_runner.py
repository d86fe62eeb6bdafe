"""Runs the step op by op, on whatever device the model is on."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.step.frames import Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep


def to_device(pcm: NDArray[np.int16], device: torch.device) -> Tensor:
    """int16 samples of the host as float32 in -1..1 on `device`."""
    return torch.from_numpy(pcm).to(device).float() / 32768


def to_host(pcm: Tensor) -> NDArray[np.int16]:
    """float32 samples of a device as int16 on the host; what is louder than full scale is clipped."""
    return (pcm * 32768).round().clamp(-32768, 32767).to(torch.int16).cpu().numpy()


class EagerRunner:
    """A `Runner` over a `MoshiStep` on `device`."""

    def __init__(self, step: MoshiStep, device: torch.device) -> None:
        self._step = step
        self._device = device

    @torch.inference_mode()
    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Give each slot a fresh state and prime it."""
        for slot, sampling in joins.items():
            self._step.join(slot, sampling)
        self._step.prime(torch.tensor(list(joins), device=self._device))

    @torch.inference_mode()
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
