"""How long a caller waits for the answer to a sound, beyond the model's own delay, over the whole call."""

import json

from engine.latency_window import QUANTILES, LatencyWindow
from engine.step.frames import FRAME_S

TOPIC = "moshi.latency"
INTERVAL_S = 3.0


class CallLatency:
    """Collects what became of each frame. A miss is one that took more than a frame's time to be answered."""

    def __init__(self) -> None:
        self.frames = 0
        """How many frames were played."""
        self._waited = LatencyWindow()
        self._missed = 0

    def add(self, jitter_s: float, worker_s: float, playout_s: float) -> None:
        """One frame: in the caller's jitter buffer; arrived -> answer handed to the track; queued there."""
        self._waited.observe(jitter_s + worker_s + playout_s)
        self.frames += 1
        self._missed += worker_s > FRAME_S

    def to_json(self) -> str:
        """`{"p50_ms", "p95_ms", "p99_ms", "frames", "missed"}` of what was added; there must be something."""
        waited_s = self._waited.whole_call()
        assert waited_s is not None
        shown = {f"p{100 * q:g}_ms": round(1000 * s) for q, s in zip(QUANTILES, waited_s, strict=True)}
        return json.dumps(shown | {"frames": self.frames, "missed": self._missed})
