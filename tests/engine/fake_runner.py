"""A model that needs no device: says back what it hears, and can be held up or broken."""

from collections.abc import Mapping, Sequence
from threading import Event

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import Sampling
from engine.step.loop import StepOutput


class FakeRunner:
    """Answers each frame with itself; the text token counts the frames that its slot has answered.

    `batches`, `joined` and `prefilled` hold what was asked of it, `calls` in which order; `stepping` is set
    once a step has begun, and while `open_gate` is clear it does not end.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.joined: list[dict[int, Sampling]] = []
        self.prefilled: list[tuple[int, range]] = []
        self.calls: list[str] = []
        self.open_gate = Event()
        self.open_gate.set()
        self.stepping = Event()
        self.broken: str | None = None
        self._answered: dict[int, int] = {}

    def join(self, joins: Mapping[int, Sampling]) -> None:
        self.calls.append("join")
        self.joined.append(dict(joins))
        self._answered.update(dict.fromkeys(joins, 0))

    def prefill(self, slot: int, sampling: Sampling, prefix: NDArray[np.int64], positions: range) -> None:
        self.calls.append("prefill")
        self.prefilled.append((slot, positions))
        self._answered[slot] = 0

    def step(self, slots: Sequence[int], pcm: NDArray[np.int16]) -> StepOutput:
        self.stepping.set()
        assert self.open_gate.wait(10)
        if self.broken:
            raise RuntimeError(self.broken)
        self.calls.append("step")
        self.batches.append(list(slots))
        for slot in slots:
            self._answered[slot] += 1
        text = np.array([self._answered[slot] for slot in slots])
        codes = np.zeros((len(slots), 8), np.int64)
        return StepOutput(pcm, text, codes, codes)
