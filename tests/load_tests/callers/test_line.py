from types import SimpleNamespace
from typing import Any

from livekit.rtc._proto import stats_pb2

from load_tests.callers.line import LineTotals


def stats(waited_s: float, emitted: int, concealed: int, received: int) -> Any:
    """A caller who sends and hears over one connection: all is told of the publisher's."""
    heard, pair, spare = stats_pb2.RtcStats(), stats_pb2.RtcStats(), stats_pb2.RtcStats()
    heard.inbound_rtp.stream.kind = "audio"
    heard.inbound_rtp.received.jitter = 0.004
    heard.inbound_rtp.inbound.jitter_buffer_delay = waited_s
    heard.inbound_rtp.inbound.jitter_buffer_emitted_count = emitted
    heard.inbound_rtp.inbound.concealed_samples = concealed
    heard.inbound_rtp.inbound.total_samples_received = received
    pair.candidate_pair.candidate_pair.nominated = True
    pair.candidate_pair.candidate_pair.current_round_trip_time = 0.05
    spare.candidate_pair.candidate_pair.current_round_trip_time = 0.5
    return SimpleNamespace(publisher_stats=[pair, spare, heard], subscriber_stats=[])


def test_a_line_is_told_of_what_came_since() -> None:
    before = LineTotals.of(stats(48_000.0, 480_000, 1_000, 500_000))
    line = LineTotals.of(stats(62_400.0, 960_000, 6_000, 1_000_000)).since(before)
    assert (line.jitter_ms, line.rtt_ms) == (4, 50)
    assert line.jitter_buffer_ms == 30
    assert line.concealed_share == 0.01


def test_a_line_on_which_nothing_came_tells_nothing() -> None:
    nothing = LineTotals.of(SimpleNamespace(publisher_stats=[], subscriber_stats=[]))  # type: ignore[arg-type]
    line = nothing.since(nothing)
    assert (line.jitter_ms, line.rtt_ms, line.jitter_buffer_ms, line.concealed_share) == (None,) * 4
