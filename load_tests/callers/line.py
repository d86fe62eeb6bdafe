"""What WebRTC counts at a caller's end of the line."""

from dataclasses import dataclass
from typing import Any, Self

from livekit import rtc


@dataclass(frozen=True, slots=True)
class LineMeasured:
    """Jitter of what arrives, round trip to the server, delay in the jitter buffer, share that it made up."""

    jitter_ms: float | None = None
    rtt_ms: float | None = None
    jitter_buffer_ms: float | None = None
    concealed_share: float | None = None


@dataclass(frozen=True, slots=True)
class LineTotals:
    """Running totals since the line was opened: seconds that samples waited, and how many samples."""

    waited_s: float = 0.0
    emitted: int = 0
    concealed: int = 0
    received: int = 0
    jitter_s: float | None = None
    rtt_s: float | None = None

    @classmethod
    def of(cls, stats: rtc.RtcStats) -> Self:
        """Those of the one track that is heard, and of the connection that is in use."""
        # Where both directions share a connection, all of it is told of the publisher's.
        both = [*stats.publisher_stats, *stats.subscriber_stats]
        trips_s = [
            pair.current_round_trip_time
            for pair in (each.candidate_pair.candidate_pair for each in both if _is(each, "candidate_pair"))
            if pair.nominated
        ]
        rtt_s = max(trips_s, default=None)
        for each in both:
            if _is(each, "inbound_rtp") and each.inbound_rtp.stream.kind == "audio":
                heard = each.inbound_rtp.inbound
                return cls(
                    heard.jitter_buffer_delay,
                    heard.jitter_buffer_emitted_count,
                    heard.concealed_samples,
                    heard.total_samples_received,
                    each.inbound_rtp.received.jitter,
                    rtt_s,
                )
        return cls(rtt_s=rtt_s)

    def since(self, before: Self) -> LineMeasured:
        """What became of the line since then; jitter and round trip as they are now."""
        emitted, received = self.emitted - before.emitted, self.received - before.received
        return LineMeasured(
            jitter_ms=_millis(self.jitter_s),
            rtt_ms=_millis(self.rtt_s),
            jitter_buffer_ms=_millis((self.waited_s - before.waited_s) / emitted) if emitted > 0 else None,
            concealed_share=(self.concealed - before.concealed) / received if received > 0 else None,
        )


def _is(stat: Any, kind: str) -> bool:
    return bool(stat.WhichOneof("stats") == kind)


def _millis(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
