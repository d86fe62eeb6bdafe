"""What one caller did and heard, as it was: kept while callers speak, understood when all have ended."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from load_tests.callers.line import LineMeasured

PIECE_S = 0.02
PIECE_SAMPLES = 480
_ARRAYS = ("out_at_s", "heard", "arrived_at_s")


def _no_times() -> NDArray[np.float64]:
    return np.zeros(0)


def _no_sound() -> NDArray[np.int16]:
    return np.zeros((0, PIECE_SAMPLES), np.int16)


@dataclass(frozen=True, slots=True)
class CallRecorded:
    """All times are in seconds, those of arrays since the moment at which all callers were to begin.

    refused: why no agent came. lost: why the call ended before its time. out_at_s [P]: when each PIECE_S of
    the script went out; due_at_s: when the first was to. heard int16 [M, 480]: what came back, at 24 kHz;
    arrived_at_s [M]: when each piece of it did. latency, attributes: what the agent told of itself.
    begins_at_s: if this caller began later than the others, by how much; all times are since then.
    """

    number: int
    kind: str
    room: str
    refused: str | None = None
    refused_after_s: float | None = None
    lost: str | None = None
    join_s: float | None = None
    first_audio_s: float | None = None
    begins_at_s: float = 0.0
    due_at_s: float = 0.0
    out_at_s: NDArray[np.float64] = field(default_factory=_no_times)
    heard: NDArray[np.int16] = field(default_factory=_no_sound)
    arrived_at_s: NDArray[np.float64] = field(default_factory=_no_times)
    line: LineMeasured = field(default_factory=LineMeasured)
    latency: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """One file, found again by the caller's number."""
        rest = asdict(replace(self, out_at_s=_no_times(), heard=_no_sound(), arrived_at_s=_no_times()))
        facts = {name: value for name, value in rest.items() if name not in _ARRAYS}
        np.savez(
            _file(folder, self.number),
            facts=np.array(json.dumps(facts)),
            out_at_s=self.out_at_s,
            heard=self.heard,
            arrived_at_s=self.arrived_at_s,
        )

    @classmethod
    def read(cls, folder: Path, number: int) -> Self:
        """What `write` wrote. Raises FileNotFoundError."""
        with np.load(_file(folder, number)) as file:
            facts: dict[str, Any] = json.loads(str(file["facts"]))
            line = LineMeasured(**facts.pop("line"))
            arrays = {name: file[name] for name in _ARRAYS}
        return cls(**facts, line=line, **arrays)


def _file(folder: Path, number: int) -> Path:
    return folder / f"caller-{number}.npz"
