"""What `/metrics` shows of transcriptions."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from engine.service.seats import Seats
from engine.step.frames import StepResult

_BUCKETS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.4, 0.8, 1.6, 3.2)


class TranscriptionMetrics(Collector):
    """Of one engine. Event loop only. Without seats, in an engine that transcribes nothing, all is 0."""

    def __init__(self, seats: Seats | None = None) -> None:
        self._registry = CollectorRegistry()
        total = Gauge("moshi_stt_seats", "Transcriptions at the same time", registry=self._registry)
        total.set(seats.total if seats else 0)
        used = Gauge("moshi_stt_seats_used", "Transcriptions that are on", registry=self._registry)
        used.set_function(lambda: seats.in_calls if seats else 0)
        self._frames = Counter("moshi_stt_frames", "Frames transcribed", registry=self._registry)
        self._latency = Histogram(
            "moshi_stt_latency_seconds",
            "From a frame that was sent whole to its token, without the model's own delay",
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def answered(self, result: StepResult, *, sent: bool) -> None:
        """A frame has been transcribed; sent: it was said, and is no silence that nobody waits for."""
        self._frames.inc()
        if sent:
            self._latency.observe(result.ended_at - result.frame.complete_at)

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._registry.collect()
