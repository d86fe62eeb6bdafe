"""How long a caller waits for the answer to a sound, beyond the model's own delay, over the whole call."""

import json
from array import array

import numpy as np

from engine.step.frames import FRAME_S

INTERVAL_S = 3.0
_QUANTILES = (0.5, 0.95, 0.99)


class CallLatency:
    """Collects what became of each frame. A miss is one that took more than a frame's time to be answered."""

    def __init__(self) -> None:
        self._waited_s = array("d")
        self._missed = 0

    @property
    def frames(self) -> int:
        """How many frames were played."""
        return len(self._waited_s)

    def add(self, jitter_s: float, worker_s: float, playout_s: float) -> None:
        """One frame: in the caller's jitter buffer; arrived -> answer handed to the track; queued there."""
        self._waited_s.append(jitter_s + worker_s + playout_s)
        self._missed += worker_s > FRAME_S

    def to_json(self) -> str:
        """`{"p50_ms", "p95_ms", "p99_ms", "frames", "missed"}` of what was added; there must be something."""
        quantiles = np.quantile(np.frombuffer(self._waited_s), _QUANTILES)
        shown = {f"p{100 * q:g}_ms": round(1000 * s) for q, s in zip(_QUANTILES, quantiles, strict=True)}
        return json.dumps(shown | {"frames": self.frames, "missed": self._missed})
