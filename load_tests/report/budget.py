"""Where each millisecond from mouth to ear goes, beyond the model's own delay."""

from collections.abc import Iterator, Sequence

from engine.step.frames import FRAME_S
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S
from load_tests.measured import Budget, RunMeasured, Stage
from load_tests.report.spread import Spread, spread
from load_tests.report.stages import Stages

HOP_MS, HOP_MS_P95 = 17.0, 28.0
"""From a track to the other side's ear, but for the network and the jitter buffer.

Steps of 10 ms in the SDK, packets of 20 ms, 6.5 ms that Opus looks ahead. Measured ten times from one
participant to another through a LiveKit server on loopback, all three at real-time priority: beside a jitter
buffer of 30 ms it was 11 to 28 ms, 17 at the median, by how the clocks of the two sides happened to lie.
"""
_FRAME_MS = 1000 * FRAME_S

REST = "not accounted for"


def budget(run: RunMeasured, told: Stages | None) -> Budget | None:
    """The budget of a run over WebRTC, from its callers' statistics and what the other side tells.

    A stage that nobody measured is missing, and what it took is in the rest. Without lags there is no rest.
    None if nobody was let in.
    """
    if all(call.refused is not None for call in run.calls):
        return None
    lags = spread(lag - run.model_delay_ms for call in run.calls for lag in call.lags_ms)
    network = spread(None if call.rtt_ms is None else call.rtt_ms / 2 for call in run.calls)
    buffered = spread(call.jitter_buffer_ms for call in run.calls)
    stages = (
        Stage("capture", 1000 * CAPTURE_S, 1000 * CAPTURE_S, "by definition: a microphone's piece"),
        _packets("packets and codec, there"),
        *_from("network, there", network, "half of the callers' round trip to the server"),
        *_told("jitter buffer of the agent", "jitter", told),
        Stage("80 ms frame", _FRAME_MS, _FRAME_MS, "by definition: a frame must be complete"),
        *_told("queue", "queue", told),
        *_told("step", "step", told),
        *_way(told),
        *_told("reserve of the track", "playout", told),
        _packets("packets and codec, back"),
        *_from("network, back", network, "half of the callers' round trip to the server"),
        *_from("jitter buffer of the caller", buffered, "get_stats() of the callers"),
        Stage("playout", 1000 * PLAYOUT_S, 1000 * PLAYOUT_S, "by definition: a loudspeaker's piece"),
    )
    return Budget((*stages, *_rest(stages, lags)))


def budget_of_sockets(run: RunMeasured, told: Stages | None) -> Budget | None:
    """As `budget`, of callers who talk to the engine itself. Sockets and event loops are the rest."""
    lags = spread(lag - run.model_delay_ms for call in run.calls for lag in call.lags_ms)
    stages = (
        Stage("80 ms frame", _FRAME_MS, _FRAME_MS, "by definition: a frame must be complete"),
        *_told("queue", "queue", told),
        *_told("step", "step", told),
        Stage("playout", 1000 * PLAYOUT_S, 1000 * PLAYOUT_S, "by definition: a loudspeaker's piece"),
    )
    return Budget((*stages, *_rest(stages, lags))) if lags else None


def _rest(stages: Sequence[Stage], lags: Spread | None) -> Iterator[Stage]:
    if lags is not None:
        rest = lags.p50 - sum(stage.p50_ms for stage in stages)
        yield Stage(REST, rest, None, "what was measured at the median, less all of these")


def _packets(name: str) -> Stage:
    return Stage(name, HOP_MS, HOP_MS_P95, "a constant, measured once on loopback")


def _from(name: str, of: Spread | None, how: str) -> Iterator[Stage]:
    if of is not None:
        yield Stage(name, of.p50, of.p95, how)


def _told(name: str, stage: str, told: Stages | None) -> Iterator[Stage]:
    times = told.stages.get(stage) if told else None
    if told and times:
        yield Stage(name, times.p50, times.p95, f"{stage}, from {told.source}")


def _way(told: Stages | None) -> Iterator[Stage]:
    """What of the stage `worker` is neither queue nor step: sockets, event loops, processes that wake."""
    stages = told.stages if told else {}
    if told and {"worker", "queue", "step"} <= stages.keys():
        p50 = stages["worker"].p50 - stages["queue"].p50 - stages["step"].p50
        yield Stage("between worker and step", p50, None, f"worker less queue and step, from {told.source}")
