"""How long answers take, as the client sees it."""

import time
from collections import deque
from collections.abc import Callable

from engine.latency_window import LatencyWindow
from engine.step.frames import FRAME_SAMPLES


class Latency:
    """From the last sample of a frame on its way to its answer back; of the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent_samples = 0
        self._complete_at: deque[float] = deque()
        self._took = LatencyWindow(clock)

    def sent(self, samples: int) -> None:
        """So many samples have gone out."""
        frames = self._sent_samples // FRAME_SAMPLES
        self._sent_samples += samples
        complete = self._sent_samples // FRAME_SAMPLES - frames
        self._complete_at.extend([self._clock()] * complete)

    def answered(self) -> None:
        """The answer to the oldest frame without one has come."""
        self._took.observe(self._clock() - self._complete_at.popleft())

    def __str__(self) -> str:
        """p50, p95 and p99 for people."""
        took_s = self._took.last_minute()
        if took_s is None:
            return "none yet"
        p50, p95, p99 = (1000 * s for s in took_s)
        return f"p50 {p50:.0f} p95 {p95:.0f} p99 {p99:.0f} ms"
