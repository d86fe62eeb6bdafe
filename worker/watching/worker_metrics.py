"""What the worker counts itself: offers, calls and their ends, whom it could not let in."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from worker.room.reasons import Reason
from worker.watching.diary import TROUBLES, Event

_DURATION_BUCKETS = (5, 15, 30, 60, 120, 240, 480, 900, 1800, 3600, 7200)
ACCEPTED = "accepted"
LOST_CALLS = ("brought_back", "begun_anew", "over", "given_up", "failed")
PHONES = ("offered_again", "hung_up")
OFFERS = (
    ACCEPTED, "engine_full", "worker_full", "draining", "unreachable", "bad_session", "bad_setting",
    "no_engine", "given_away",
)  # fmt: skip
REQUESTS = (
    ACCEPTED, "full", "no_agent", "no_server", "no_engine", "too_many_calls", "unauthorized",
    "forbidden_origin", "bad_session", "failed",
)  # fmt: skip
LOST = "lost"
"""How a call ended whose job said nothing of its end: it was killed."""
NOT_JOINED = "not_joined"
"""How a call ended that never was: the job did not come into its room."""
FAILURES = (
    Reason.FAILED, Reason.ENGINE_LOST, Reason.CONNECTION_LOST, Reason.REFUSED, LOST, NOT_JOINED
)  # fmt: skip
"""Ends that nobody wanted."""


class WorkerMetrics:
    """In the registry that WORKER_METRICS_PORT shows. Numbers alone: no room, no person."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client types a part of itself
        self._registry = registry
        build = Gauge("moshi_worker_build_info", "What runs here", ["version"], registry=registry)
        build.labels(_version()).set(1)
        self._offers = self._counter(
            "moshi_worker_offers", "Calls that LiveKit offered, by what became of them", "result", *OFFERS
        )
        self._requests = self._counter(
            "moshi_worker_call_requests", "Answers of POST /api/call, by result", "result", *REQUESTS
        )
        self._ended = self._counter(
            "moshi_worker_calls_ended", "Calls that are over, by reason", "reason", *Reason, LOST, NOT_JOINED
        )
        self._events = self._counter(
            "moshi_worker_call_events", "What was in the way of calls that are on", "event", *TROUBLES
        )
        self._lost = self._counter(
            "moshi_worker_lost_calls", "Calls that had lost their job", "result", *LOST_CALLS
        )
        self._phones = self._counter(
            "moshi_worker_phones_alone", "Telephone calls that no agent took at once", "result", *PHONES
        )
        self._seconds = Histogram(
            "moshi_worker_call_duration_seconds",
            "How long calls were",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )

    def watch(
        self,
        calls: Callable[[], int],
        engine_answers: Callable[[], bool],
        livekit_answers: Callable[[], bool],
        draining: Callable[[], bool],
    ) -> None:
        """Show how it is now. Asked from another thread."""
        for name, told, value in (
            ("moshi_worker_calls", "Calls that are on", calls),
            ("moshi_worker_engine_up", "1: the engine answers", engine_answers),
            ("moshi_worker_livekit_up", "1: LiveKit has its registration", livekit_answers),
            ("moshi_worker_draining", "1: no new calls are taken", draining),
        ):
            Gauge(name, told, registry=self._registry).set_function(value)

    def offered(self, result: str) -> None:
        """LiveKit offered a call: ACCEPTED, or why not."""
        self._offers.labels(result).inc()

    def requested(self, result: str) -> None:
        """Somebody asked for a call at the web server: ACCEPTED, or why not."""
        self._requests.labels(result).inc()

    def call_ended(self, reason: str, seconds: float | None) -> None:
        """A call is over; how long it was, if that is known."""
        self._ended.labels(reason).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def happened(self, event: Event) -> None:
        """Something happened in a call."""
        if event in TROUBLES:
            self._events.labels(event).inc()

    def brought_back(self, result: str) -> None:
        """What became of a call that had lost its job."""
        self._lost.labels(result).inc()

    def phone_alone(self, result: str) -> None:
        """What became of a telephone call that no agent took at once."""
        self._phones.labels(result).inc()

    def _counter(self, name: str, told: str, label: str, *kinds: str) -> Counter:
        counter = Counter(name, told, [label], registry=self._registry)
        for kind in kinds:
            # From 0: the first of a kind would be no increase of a series that was not there.
            counter.labels(kind)
        return counter


def _version() -> str:
    try:
        return version("moshi-live")
    except PackageNotFoundError:
        # A checkout that nobody has installed.
        return "unknown"
