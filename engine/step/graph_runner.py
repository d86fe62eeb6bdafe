"""Runs the step as one launch: a graph for each of a few batch sizes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models.delays import NOT_GIVEN
from engine.step.captured import Captured, Graphs
from engine.step.eager_runner import EagerRunner
from engine.step.frames import FRAME_SAMPLES, OwnFrame
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from engine.step.sound import put_answer, to_float
from engine.step.staging import Staging

_AT_ONCE = 8
"""Of sessions that begin, or are to take something for their own words."""


class GraphRunner(EagerRunner):
    """A `Runner` whose batches are filled up to the next size that was captured.

    A step is four launches: a copy in, the graph, a copy out, an event. It is over when `step` returns, so
    one block of memory for each way is enough. Words that are given are made codes by four others before it.
    """

    def __init__(self, step: MoshiStep, device: torch.device, graphs: Graphs) -> None:
        super().__init__(step, device)
        self._graphs = graphs
        said, heard = step.config.own_codebooks, step.config.heard_codebooks
        self._tokens = np.cumsum([1, said, heard])
        columns = [(torch.int64, 1), (torch.int64, 1 + said), (torch.int16, FRAME_SAMPLES)]
        self._in = Staging(step.slots, columns, device)
        self._out = Staging(
            step.slots, [(torch.int64, 1 + said + heard), (torch.int16, FRAME_SAMPLES)], device
        )
        self._steps = Captured(graphs, self._in, self._run_step, step.slots)
        few = min(step.slots, _AT_ONCE)
        self._primes = Captured(graphs, self._in, self._run_prime, few)
        self._words_in = Staging(few, [(torch.int64, 1), (torch.int16, FRAME_SAMPLES)], device)
        self._words_out = Staging(few, [(torch.int64, said)], device)
        self._words = Captured(graphs, self._words_in, self._run_words, few)

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """Answer one frame of each slot. `pcm` is int16 [B, 1920]; own: [B] or ()."""
        given = self._given(slots, own)
        size = self._steps.size(len(slots))
        _, words, sound = self._in.on_host(size)
        words[: len(slots)] = NOT_GIVEN if given is None else given
        sound[: len(slots)] = pcm
        self._steps(slots)
        self._out.fetch(size)
        self._graphs.wait()
        # Copied, for the next step writes where they lie.
        tokens, sound = (column[: len(slots)].copy() for column in self._out.on_host(size))
        text, codes, user_codes = np.split(tokens, self._tokens[:-1], axis=1)
        return StepOutput(sound, text[:, 0], codes, user_codes)

    def _prime(self, slots: list[int]) -> None:
        for first in range(0, len(slots), _AT_ONCE):
            self._primes(slots[first : first + _AT_ONCE])
            self._graphs.wait()

    def _own_codes(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> NDArray[np.int64]:
        codes = []
        for first in range(0, len(slots), _AT_ONCE):
            some = slots[first : first + _AT_ONCE]
            size = self._words.size(len(some))
            self._words_in.on_host(size)[1][: len(some)] = pcm[first : first + _AT_ONCE]
            self._words(some)
            self._words_out.fetch(size)
            self._graphs.wait()
            codes.append(self._words_out.on_host(size)[0][: len(some)].copy())
        return np.concatenate(codes)

    @torch.inference_mode()
    def _run_step(self, size: int) -> None:
        slots, given, heard = self._in.on_device(size)
        tokens, sound = self._out.on_device(size)
        out = self._step(slots[:, 0], to_float(heard), given)
        put_answer(out.pcm, out.text, out.codes, out.user_codes, tokens, sound)

    @torch.inference_mode()
    def _run_prime(self, size: int) -> None:
        self._step.prime(self._in.on_device(size)[0][:, 0])

    @torch.inference_mode()
    def _run_words(self, size: int) -> None:
        slots, sound = self._words_in.on_device(size)
        (codes,) = self._words_out.on_device(size)
        codes.copy_(self._step.own_codes(slots[:, 0], to_float(sound)))
