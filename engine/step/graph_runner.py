"""Runs the step as one launch: a graph for each of a few batch sizes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.step.captured import Captured, Graphs
from engine.step.eager_runner import EagerRunner
from engine.step.frames import FRAME_SAMPLES
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from engine.step.sound import put_answer, to_float
from engine.step.staging import Staging

_PRIMED_AT_ONCE = 8


class GraphRunner(EagerRunner):
    """A `Runner` whose batches are filled up to the next size that was captured.

    A step is four launches: a copy in, the graph, a copy out, an event. It is over when `step` returns, so
    one block of memory for each way is enough.
    """

    def __init__(self, step: MoshiStep, device: torch.device, graphs: Graphs) -> None:
        super().__init__(step, device)
        self._graphs = graphs
        said, heard = step.config.own_codebooks, step.config.heard_codebooks
        self._tokens = np.cumsum([1, said, heard])
        self._in = Staging(step.slots, [(torch.int64, 1), (torch.int16, FRAME_SAMPLES)], device)
        self._out = Staging(
            step.slots, [(torch.int64, 1 + said + heard), (torch.int16, FRAME_SAMPLES)], device
        )
        self._steps = Captured(graphs, self._in, self._run_step, step.slots)
        self._primes = Captured(graphs, self._in, self._run_prime, min(step.slots, _PRIMED_AT_ONCE))

    def step(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> StepOutput:
        """Answer one frame of each slot. `pcm` is int16 [B, 1920]."""
        size = self._steps.size(len(slots))
        _, sound = self._in.on_host(size)
        sound[: len(slots)] = pcm
        self._steps(slots)
        self._out.fetch(size)
        self._graphs.wait()
        # Copied, for the next step writes where they lie.
        tokens, sound = (column[: len(slots)].copy() for column in self._out.on_host(size))
        text, codes, user_codes = np.split(tokens, self._tokens[:-1], axis=1)
        return StepOutput(sound, text[:, 0], codes, user_codes)

    def _prime(self, slots: list[int]) -> None:
        for first in range(0, len(slots), _PRIMED_AT_ONCE):
            self._primes(slots[first : first + _PRIMED_AT_ONCE])
            self._graphs.wait()

    @torch.inference_mode()
    def _run_step(self, size: int) -> None:
        slots, heard = self._in.on_device(size)
        tokens, sound = self._out.on_device(size)
        out = self._step(slots[:, 0], to_float(heard))
        put_answer(out.pcm, out.text, out.codes, out.user_codes, tokens, sound)

    @torch.inference_mode()
    def _run_prime(self, size: int) -> None:
        slots, _ = self._in.on_device(size)
        self._step.prime(slots[:, 0])
