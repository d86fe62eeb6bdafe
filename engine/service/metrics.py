"""What `/metrics` shows: every live session's latency by stage, and the fleet's histograms and counts.

`session` is the opaque id of `Ready`, on series that live as long as the session does.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from time import monotonic

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.errors import (
    EngineDraining,
    EngineFull,
    LineFull,
    TooManyFromAddress,
    TooManySessions,
    WaitedTooLong,
)
from engine.latency_window import QUANTILES, LatencyWindow
from engine.service.room_hash import RoomHash
from engine.service.seats import Seats
from engine.step.frames import FRAME_S, StepResult
from engine.step.measure import StepTimes

# Dense around the 80 ms that a frame lasts.
_LATENCY_BUCKETS = (
    0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.16, 0.24, 0.4, 0.8, 1.6
)  # fmt: skip
_BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 80)

STAGES = ("queue", "step", "answer", "worker", "playout", "jitter")
ENDS = ("hang_up", "connection_lost", "error", "drain", "moved", "withdrawn")
REFUSALS = tuple(
    refusal.code
    for refusal in (
        EngineFull, EngineDraining, TooManySessions, LineFull, WaitedTooLong, TooManyFromAddress
    )
)  # fmt: skip
HELD = ("slot", "host")
FAULTS = {
    "underruns": "Answers that came after what the caller hears had run dry",
    "late_frames": "Frames of callers that came too late to be heard",
    "silent_frames": "Frames of silence in the place of missing sound of callers",
    "concealed_seconds": "What callers' jitter buffers made up for lost packets",
}


class SessionLatency:
    """One session's latency by stage, how many frames were answered late, `FAULTS` of its sound."""

    def __init__(self, clock: Callable[[], float], room: str = "") -> None:
        self.room = room
        self.stages = {stage: LatencyWindow(clock) for stage in STAGES}
        self.frames = 0
        self.missed = 0
        self.faults = dict.fromkeys(FAULTS, 0.0)


class Metrics(Collector):
    """The registry behind `/metrics`, and the one place where times are observed. Event loop only.

    rooms: shows in which room a session is, by a hash of its name; None: nothing of it is shown.
    """

    def __init__(
        self, seats: Seats, clock: Callable[[], float] = monotonic, rooms: RoomHash | None = None
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client types a part of itself
        self._clock = clock
        self._seats = seats
        self._rooms = rooms
        self._live: dict[str, SessionLatency] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)
        latency = Histogram(
            "moshi_latency_seconds",
            "Latency by stage, all sessions",
            ["stage"],
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        # Looked up once: values come by the thousand a second.
        self._latency = {stage: latency.labels(stage) for stage in STAGES}
        self._frames = self._counter("moshi_frames", "Frames answered")
        self._missed = self._counter(
            "moshi_missed_frames", "Frames answered over 80 ms after they were complete"
        )
        self._faults = {fault: self._counter(f"moshi_{fault}", told) for fault, told in FAULTS.items()}
        self._begun = self._counter("moshi_sessions_begun", "Sessions opened, or arrived from another engine")
        self._ended = self._counter("moshi_sessions_ended", "Sessions that are over, by reason", "reason")
        self._refusals = self._counter("moshi_refusals", "Sessions and seats refused, by reason", "reason")
        self._resumes = self._counter(
            "moshi_resumes", "Callers who came back, by where their session was", "where"
        )
        # From 0: the first of a kind would be no increase of a series that was not there.
        for counter, kinds in ((self._ended, ENDS), (self._refusals, REFUSALS), (self._resumes, HELD)):
            for kind in kinds:
                counter.labels(kind)
        self._batch = Histogram(
            "moshi_step_batch_size",
            "Sessions answered in one step",
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        self._gauge("moshi_seats", "Sessions that this engine can hold", lambda: seats.total)
        self._gauge("moshi_seats_used", "Seats in calls or reserved", lambda: seats.in_calls + seats.reserved)

    def identify(self, model: str, device: str) -> None:
        """Show what runs here, and on what."""
        build = Gauge(
            "moshi_build_info", "What runs here", ["version", "model", "device"], registry=self._registry
        )
        build.labels(_version(), model, device).set(1)

    def drains(self, is_draining: Callable[[], bool]) -> None:
        """Show whether new calls are taken."""
        self._gauge("moshi_draining", "1: no new calls are taken", lambda: float(is_draining()))

    def add(self, collector: Collector) -> None:
        """Show what this collects as well."""
        self._registry.register(collector)

    def predict(self, times: StepTimes) -> None:
        """Show the answer latency that `times` foretell, for the calls that are on and for a full engine."""
        predicted = Gauge(
            "moshi_predicted_answer_seconds",
            "The latest answers to expect with so many sessions, all of them in long calls",
            ["sessions"],
            registry=self._registry,
        )
        seats = self._seats
        predicted.labels("live").set_function(lambda: times.answer_s(max(1, seats.in_calls)))
        predicted.labels("all").set_function(lambda: times.answer_s(seats.total))

    def hold(self, in_slots: Callable[[], int], in_host_memory: Callable[[], int]) -> None:
        """Show how many sessions are held whose callers are away."""
        held = Gauge(
            "moshi_sessions_held",
            "Sessions whose callers are away: paused, or their connection lost",
            ["where"],
            registry=self._registry,
        )
        for where, count in zip(HELD, (in_slots, in_host_memory), strict=True):
            held.labels(where).set_function(count)

    def resumed(self, where: str) -> None:
        """A caller is back, whose session was in its `slot` or in memory of the `host`."""
        self._resumes.labels(where).inc()

    def begin(self, session: str, room: str | None = None) -> None:
        """A session is live: its series appear with its first frame."""
        self._begun.inc()
        hashed = self._rooms.of(room) if self._rooms and room else ""
        self._live[session] = SessionLatency(self._clock, hashed)

    def end(self, session: str, reason: str) -> SessionLatency:
        """A session is over: its series are gone. What it measured is returned, for the log."""
        self._ended.labels(reason).inc()
        return self._live.pop(session)

    def stepped(self, batch_size: int) -> None:
        """Count a step."""
        self._batch.observe(batch_size)

    def answered(self, session: str, result: StepResult) -> None:
        """The answer to a frame has left the engine, now."""
        answer_s = self._clock() - result.frame.complete_at
        self.observe(session, "queue", result.began_at - result.frame.complete_at)
        self.observe(session, "step", result.ended_at - result.began_at)
        self.observe(session, "answer", answer_s)
        live = self._live.get(session)
        missed = answer_s > FRAME_S
        self._frames.inc()
        if missed:
            self._missed.inc()
        if live is not None:
            live.frames += 1
            live.missed += missed

    def observe(self, session: str, stage: str, seconds: float) -> None:
        """Count `seconds` in one of `STAGES`."""
        self._latency[stage].observe(seconds)
        live = self._live.get(session)
        if live is not None:
            live.stages[stage].observe(seconds)

    def count(self, session: str, fault: str, count: float) -> None:
        """Add to one of `FAULTS`."""
        self._faults[fault].inc(count)
        live = self._live.get(session)
        if live is not None:
            live.faults[fault] += count

    def refused(self, reason: str) -> None:
        """Count a session or a seat that was refused."""
        self._refusals.labels(reason).inc()

    def collect(self) -> Iterator[Metric]:
        """The live sessions: quantiles of the last minute, as a bare summary; frames, misses, faults."""
        latency = Metric(
            "moshi_session_latency_seconds",
            "Latency of a live session by stage, over the last minute",
            "summary",
        )
        frames = CounterMetricFamily(
            "moshi_session_frames", "Frames of a live session answered", labels=["session"]
        )
        missed = CounterMetricFamily(
            "moshi_session_missed_frames",
            "Those answered over 80 ms after they were complete",
            labels=["session"],
        )
        faults = {
            fault: CounterMetricFamily(
                f"moshi_session_{fault}", f"{told}, of a live session", labels=["session"]
            )
            for fault, told in FAULTS.items()
        }
        rooms = InfoMetricFamily(
            "moshi_session", "In which room a live session is, hashed", labels=["session"]
        )
        for session, live in self._live.items():
            if live.room:
                rooms.add_metric([session], {"room": live.room})
            frames.add_metric([session], live.frames)
            missed.add_metric([session], live.missed)
            for fault, family in faults.items():
                family.add_metric([session], live.faults[fault])
            for stage, window in live.stages.items():
                for quantile, seconds in zip(QUANTILES, window.last_minute() or (), strict=False):
                    labels = {"session": session, "stage": stage, "quantile": str(quantile)}
                    latency.add_sample(latency.name, labels, seconds)
        yield from (latency, frames, missed, *faults.values(), rooms)

    def text(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self._registry)

    def _gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        Gauge(name, description, registry=self._registry).set_function(value)


def _version() -> str:
    try:
        return version("moshi-live")
    except PackageNotFoundError:
        # A checkout that nobody has installed.
        return "unknown"
