"""A model that needs no device: says back what it hears, and can be held up or broken."""

from collections.abc import Mapping, Sequence
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray

from engine.state.snapshot import Done, Snapshot
from engine.step.frames import OwnFrame, Sampling
from engine.step.loop import StepOutput
from engine.step.prefix import Prefix


class FakeRunner:
    """Answers each frame with itself; the text token counts the frames that its slot has answered.

    `batches`, `joined`, `owned`, `prefilled`, `lifted` and `restored` hold what was asked of it, `calls` in
    which order; `stepping` is set once a step has begun, and while `open_gate` is clear it does not end. A
    copy is over when `copied` is set; `no_memory` lets none begin.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.joined: list[dict[int, Sampling]] = []
        self.owned: list[OwnFrame | None] = []
        self.prefilled: list[tuple[int, range]] = []
        self.lifted: list[int] = []
        self.restored: list[int] = []
        self.calls: list[str] = []
        self.open_gate = Event()
        self.open_gate.set()
        self.stepping = Event()
        self.copied = Event()
        self.copied.set()
        self.no_memory = False
        self.broken: str | None = None
        self._answered: dict[int, int] = {}

    def join(self, joins: Mapping[int, Sampling]) -> None:
        self.calls.append("join")
        self.joined.append(dict(joins))
        self._answered.update(dict.fromkeys(joins, 0))

    def prefill(self, slot: int, sampling: Sampling, prefix: Prefix, positions: range) -> None:
        self.calls.append("prefill")
        self.prefilled.append((slot, positions))
        self._answered[slot] = 0

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        self.stepping.set()
        assert self.open_gate.wait(60)
        if self.broken:
            raise RuntimeError(self.broken)
        self.calls.append("step")
        self.batches.append(list(slots))
        self.owned += own
        for slot in slots:
            self._answered[slot] += 1
        text = np.array([self._answered[slot] for slot in slots])
        codes = np.zeros((len(slots), 8), np.int64)
        return StepOutput(pcm, text, codes, codes)

    def snapshot(self, slot: int) -> tuple[Snapshot, Done]:
        if self.no_memory:
            raise RuntimeError("no more pinned memory")
        self.calls.append("lift")
        self.lifted.append(slot)
        return Snapshot((torch.tensor(self._answered[slot]),)), self.copied.is_set

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        if self.no_memory:
            raise RuntimeError("no more memory")
        self.calls.append("restore")
        self.restored.append(slot)
        self._answered[slot] = int(snapshot.parts[0])
        return self.copied.is_set
