"""What a load test measured: plain data, made by callers, shown and written by `load_tests.report`."""

from dataclasses import dataclass, field

SOCKETS = ("session", "chat")
"""Kinds of callers without WebRTC: they talk to the engine itself."""


@dataclass(frozen=True, slots=True)
class CallMeasured:
    """One caller's call. A caller who was refused is one as well and stays in every denominator."""

    number: int
    kind: str
    """`webrtc`, `phone`, `browser`, `session` or `chat`."""
    room: str
    refused: str | None = None
    """Why no agent came, None if one did."""
    refused_after_s: float | None = None
    """How long until the caller knew."""
    lost: str | None = None
    """Why the call ended before its time; what was said after that did not come back."""
    join_s: float | None = None
    """From the beginning of connecting until this caller hears and is heard: both tracks are subscribed."""
    first_audio_s: float | None = None
    """From the beginning of connecting until the first frame of the agent's track."""
    said: int = 0
    """Utterances."""
    heard: int = 0
    """Those of them that came back."""
    lags_ms: tuple[float, ...] = ()
    """Mouth to ear of each utterance that came back, the model's own delay included."""
    similarity: tuple[float, ...] = ()
    """How much each that came back is like what was said, 0 to 1."""
    leaked: int = 0
    """Utterances of other callers found in what this one heard: must be 0."""
    lag_estimate_ms: tuple[float, float, float] | None = None
    """Mouth to ear, p50, p95, p99, of a model that does not repeat what it hears: not heard but added up from
    what worker and WebRTC tell of their parts; without the model's own delay."""
    gaps_ms: tuple[float, ...] = ()
    """Holes over 40 ms: of sound that arrives too late for a listener with 80 ms of playout reserve, and
    inside an utterance that came back, where what was said has none."""
    send_late_ms: tuple[float, float, float] | None = None
    """How late this caller's sound went out against its schedule: p50, p95, p99."""
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    concealed_share: float | None = None
    """Of the samples that were played, how many the jitter buffer had to invent; from get_stats()."""
    jitter_buffer_ms: float | None = None
    """How long sound stays in the jitter buffer of this caller; from get_stats()."""
    frames: int = 0
    """What the engine answered to this caller, where that is known."""
    missed: int = 0
    """Those of them that came too late."""
    answer_ms: tuple[float, float, float] | None = None
    """How long a frame takes to be answered, p50, p95, p99. Over a socket from when it was whole until its
    answer was there; else what the agent tells, from its jitter buffer to the end of its track's reserve."""
    there_s: tuple[float, float] | None = None
    """From when it spoke until the last sound came, since all began."""
    said_at_s: tuple[float, ...] = ()
    """When each utterance was begun, since all began."""
    heard_said_at_s: tuple[float, ...] = ()
    """The same of those that came back, in the order of `lags_ms`."""


@dataclass(frozen=True, slots=True)
class ProcessMeasured:
    """All processes of one role on this machine while callers spoke, or (`whole machine`) all that run on it.

    Resident memory counts what processes share in each of them: `own_mb`, at the end, is what they do not
    share.
    """

    name: str
    cpu_percent_mean: float
    """Of one core."""
    cpu_percent_max: float
    rss_mb_first: float
    rss_mb_last: float
    rss_mb_max: float
    own_mb: float | None = None
    processes: int = 1
    """At most, at the same time."""
    rss_mb_middle: float | None = None
    """In the middle of the run: what is taken once, at the beginning, is no leak."""


@dataclass(frozen=True, slots=True)
class GpuMeasured:
    """A GPU while callers spoke."""

    name: str
    busy_percent_mean: float
    busy_percent_max: float
    memory_mb_max: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the way from mouth to ear. `how` says where the number is from.

    `p95_ms` is None where parts cannot be told from each other but at their median.
    """

    name: str
    p50_ms: float
    p95_ms: float | None
    how: str


@dataclass(frozen=True, slots=True)
class Budget:
    """Where each millisecond from mouth to ear goes, beyond the model's own delay, in the order of the way.

    The medians add up to the median that was measured, for the last stage is what the others leave of it:
    below zero where they claim more than there was. There is no such stage where nothing was measured.
    """

    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """A part of a run during which callers came and went, in seconds since all began.

    `callers` came in it, and so many of them were `refused` or `lost` later; words are those said in it.
    """

    name: str
    begins_s: float
    ends_s: float
    callers: int
    refused: int
    lost: int
    said: int
    heard: int
    join_p50_s: float | None
    lag_p50_ms: float | None
    lag_p95_ms: float | None
    lag_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class RunMeasured:
    """All callers of one run against one service."""

    what: str
    """`the service`, `bare echo` or `the engine`."""
    model_delay_ms: float
    """The model's own part of every lag; 0 for the echo."""
    seconds: float
    """How long callers spoke."""
    calls: tuple[CallMeasured, ...]
    processes: tuple[ProcessMeasured, ...] = ()
    gpu: GpuMeasured | None = None
    budget: Budget | None = None
    network: str = "none"
    periods: tuple[Period, ...] = ()
    """Where callers came and went."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know: estimates, what could not be measured."""
