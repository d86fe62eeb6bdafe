"""How long a caller waits for the answer to a sound, beyond the model's own delay, and where, over the whole
call.
"""

import json

from engine.latency_window import QUANTILES, LatencyWindow
from engine.step.frames import FRAME_S

TOPIC = "moshi.latency"
INTERVAL_S = 3.0
_STAGES = ("queue", "step", "worker", "playout", "jitter")


class CallLatency:
    """Collects what became of each frame. A miss is one that took more than a frame's time to be answered."""

    def __init__(self) -> None:
        self.frames = 0
        """How many frames were played."""
        self._waited = LatencyWindow()
        self._stages = {stage: LatencyWindow() for stage in _STAGES}
        self._missed = 0

    def stepped(self, queue_s: float, step_s: float) -> None:
        """One answer, as the engine says: its frame waited; its step."""
        self._stages["queue"].observe(queue_s)
        self._stages["step"].observe(step_s)

    def add(self, jitter_s: float | None, worker_s: float, playout_s: float) -> None:
        """One frame: in the caller's jitter buffer, None while that is not known; arrived -> answer handed to
        the track; queued there.
        """
        self._waited.observe((jitter_s or 0.0) + worker_s + playout_s)
        self._stages["worker"].observe(worker_s)
        self._stages["playout"].observe(playout_s)
        if jitter_s is not None:
            self._stages["jitter"].observe(jitter_s)
        self.frames += 1
        self._missed += worker_s > FRAME_S

    def to_json(self) -> str:
        """`{"p50_ms", "p95_ms", "p99_ms", "frames", "missed"}` of what was added; there must be something."""
        waited_s = self._waited.whole_call()
        assert waited_s is not None
        shown = {f"p{100 * q:g}_ms": round(1000 * s) for q, s in zip(QUANTILES, waited_s, strict=True)}
        return json.dumps(shown | {"frames": self.frames, "missed": self._missed})

    def summary(self) -> dict[str, float]:
        """For a log line: `frames`, `missed`; of the whole wait and of each stage p50, p95 and p99 in ms."""
        summary: dict[str, float] = {"frames": self.frames, "missed": self._missed}
        for stage, window in {"wait": self._waited, **self._stages}.items():
            for quantile, seconds in zip(QUANTILES, window.whole_call() or (), strict=False):
                summary[f"{stage}_p{100 * quantile:g}_ms"] = round(1000 * seconds, 1)
        return summary
