"""What `/metrics` shows of speech."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from engine.service.seats import Seats

_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class SpeechMetrics(Collector):
    """Of one engine. Event loop only. Without seats, in an engine that speaks no texts, all is 0."""

    def __init__(self, seats: Seats | None = None) -> None:
        self._registry = CollectorRegistry()
        total = Gauge("moshi_tts_seats", "Voices at the same time", registry=self._registry)
        total.set(seats.total if seats else 0)
        used = Gauge("moshi_tts_seats_used", "Voices that are on", registry=self._registry)
        used.set_function(lambda: seats.in_calls if seats else 0)
        self._frames = Counter("moshi_tts_frames", "Frames of sound spoken", registry=self._registry)
        self._first = Histogram(
            "moshi_tts_first_sound_seconds",
            "From the first text of a stretch of speech to its first sound",
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def spoken(self) -> None:
        """A frame of sound has been made."""
        self._frames.inc()

    def began(self, seconds: float) -> None:
        """A stretch of speech is heard, so long after its first text."""
        self._first.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._registry.collect()
