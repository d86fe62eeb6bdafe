"""Runs the step op by op, on whatever device the model is on."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.delays import NOT_GIVEN
from engine.state.snapshot import Done, Snapshot
from engine.step.frames import OwnFrame, Sampling
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
        self._in_words = set[int]()
        """Slots of whose last frame the words were given."""

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """As `SlotRunner.join`."""
        self._in_words -= joins.keys()
        super().join(joins)

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        """As `SlotRunner.restore`."""
        self._in_words.discard(slot)
        return super().restore(slot, snapshot)

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        """Run `positions` of a prefix; with position 0 the slot gets a fresh state."""
        self._in_words.discard(slot)
        if positions.start == 0:
            self._step.join(slot, sampling)
        elif positions.stop == prefix.length:
            # What ran before may have been another session's, and draws nothing.
            self._step.draw_as(slot, sampling)
        self._step.prefill(slot, prefix, positions)

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """Answer one frame of each slot. `pcm` is int16 [B, 1920]; own: [B] or ()."""
        rows, given = torch.tensor(slots, device=self._device), self._given(slots, own)
        words = None if given is None else torch.from_numpy(given).to(self._device)
        out = self._step(rows, to_device(pcm, self._device), words)
        return StepOutput(
            pcm=to_host(out.pcm),
            text=out.text.cpu().numpy(),
            codes=out.codes.cpu().numpy(),
            user_codes=out.user_codes.cpu().numpy(),
        )

    def _given(self, slots: Sequence[int], own: Sequence[OwnFrame | None]) -> NDArray[np.int64] | None:
        """The text and codes int64 [B, 1 + own] that are given; None where nothing is."""
        frames = {row: frame for row, frame in enumerate(own) if frame is not None}
        told = [slots[row] for row in frames]
        began = set(told) - self._in_words
        self._in_words = self._in_words.difference(slots).union(told)
        if not frames:
            return None
        if began:
            self._step.begin_words(torch.tensor(sorted(began), device=self._device))
        given = np.full((len(slots), 1 + self._step.config.own_codebooks), NOT_GIVEN)
        given[list(frames), 0] = [frame.text_token for frame in frames.values()]
        given[list(frames), 1:] = self._own_codes(told, np.stack([frame.pcm for frame in frames.values()]))
        return given

    def _own_codes(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> NDArray[np.int64]:
        """As `MoshiStep.own_codes`, on the host."""
        rows = torch.tensor(slots, device=self._device)
        return self._step.own_codes(rows, to_device(pcm, self._device)).cpu().numpy()
