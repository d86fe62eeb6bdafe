"""Runs the step of a model that only listens: op by op, or on CUDA as one launch."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.step.captured import Captured, Graphs
from engine.step.eager_runner import to_device
from engine.step.frames import FRAME_SAMPLES, OwnFrame, Sampling
from engine.step.loop import StepOutput
from engine.step.prefix import Prefix
from engine.step.slot_runner import SlotRunner
from engine.step.sound import to_float
from engine.step.staging import Staging
from engine.step.stt_step import SttStep

_PRIMED_AT_ONCE = 8


class SttRunner(SlotRunner):
    """A `Runner` over an `SttStep` on `device`; used from one thread alone."""

    def __init__(self, step: SttStep, device: torch.device) -> None:
        super().__init__(step, device)
        self._step = step

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        """What listens begins with no tokens that are given."""
        raise NotImplementedError

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """The text of one frame of each slot. `pcm` is int16 [B, 1920]; it says nothing of its own."""
        out = self._step(torch.tensor(slots, device=self._device), to_device(pcm, self._device))
        return _without_sound(out.text.cpu().numpy(), out.pauses.cpu().numpy(), out.heard.cpu().numpy())


class SttGraphRunner(SttRunner):
    """As `GraphRunner`: batches are filled up to a size that was captured."""

    def __init__(self, step: SttStep, device: torch.device, graphs: Graphs) -> None:
        super().__init__(step, device)
        self._graphs = graphs
        tokens = 1 + step.config.heard_codebooks
        self._in = Staging(step.slots, [(torch.int64, 1), (torch.int16, FRAME_SAMPLES)], device)
        columns = [(torch.int64, tokens), (torch.float32, step.config.extra_heads)]
        self._out = Staging(step.slots, columns, device)
        self._steps = Captured(graphs, self._in, self._run_step, step.slots)
        self._primes = Captured(graphs, self._in, self._run_prime, min(step.slots, _PRIMED_AT_ONCE))

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """The text of one frame of each slot. `pcm` is int16 [B, 1920]; it says nothing of its own."""
        size = self._steps.size(len(slots))
        self._in.on_host(size)[1][: len(slots)] = pcm
        self._steps(slots)
        self._out.fetch(size)
        self._graphs.wait()
        # Copied, for the next step writes where they lie.
        tokens, pauses = (column[: len(slots)].copy() for column in self._out.on_host(size))
        return _without_sound(tokens[:, 0], pauses, tokens[:, 1:])

    def _prime(self, slots: list[int]) -> None:
        for first in range(0, len(slots), _PRIMED_AT_ONCE):
            self._primes(slots[first : first + _PRIMED_AT_ONCE])
            self._graphs.wait()

    @torch.inference_mode()
    def _run_step(self, size: int) -> None:
        slots, heard = self._in.on_device(size)
        tokens, pauses = self._out.on_device(size)
        out = self._step(slots[:, 0], to_float(heard))
        torch.cat([out.text[:, None], out.heard], dim=1, out=tokens)
        pauses.copy_(out.pauses)

    @torch.inference_mode()
    def _run_prime(self, size: int) -> None:
        self._step.prime(self._in.on_device(size)[0][:, 0])


def _without_sound(
    text: NDArray[np.int64], pauses: NDArray[np.float32], heard: NDArray[np.int64]
) -> StepOutput:
    rows = len(text)
    return StepOutput(np.zeros((rows, 0), np.int16), text, np.zeros((rows, 0), np.int64), heard, pauses)
