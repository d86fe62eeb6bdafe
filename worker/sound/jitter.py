"""How long sound waits in the caller's jitter buffer before we get it, and what that makes up."""

import asyncio
import logging
from dataclasses import dataclass

from livekit import rtc

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
_OPUS_RATE = 48_000


@dataclass(frozen=True, slots=True)
class JitterTotals:
    """WebRTC's running totals: seconds that samples have waited, the number of samples, and of those that
    were made up for lost ones.
    """

    delay_s: float = 0.0
    emitted: int = 0
    concealed: int = 0

    def mean_since(self, before: "JitterTotals") -> float | None:
        """Mean delay in seconds of what was emitted since; None if nothing was, or if counting began anew."""
        emitted = self.emitted - before.emitted
        return (self.delay_s - before.delay_s) / emitted if emitted > 0 else None


class JitterGauge:
    """`latest_s`: mean delay over the last second, None until it is known. `concealed_s`: made up so far."""

    def __init__(self) -> None:
        self.latest_s: float | None = None
        self.concealed_s = 0.0

    async def watch(self, track: rtc.Track) -> None:
        """Ask a track once a second."""
        before, told = JitterTotals(), False
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                totals = await _totals(track)
            except Exception:
                # The SDK has no narrower error. Not to know the delay for a while must not end its measuring.
                if not told:
                    log.warning("the caller's jitter buffer could not be read", exc_info=True)
                self.latest_s, told = None, True
                continue
            mean_s = totals.mean_since(before)
            if mean_s is not None:
                self.latest_s = mean_s
            self.concealed_s += max(0, totals.concealed - before.concealed) / _OPUS_RATE
            before = totals


async def _totals(track: rtc.Track) -> JitterTotals:
    for stats in await track.get_stats():
        if stats.WhichOneof("stats") == "inbound_rtp":
            inbound = stats.inbound_rtp.inbound
            # Where somebody is muted, what is made up is silence: nothing was lost.
            concealed = inbound.concealed_samples - inbound.silent_concealed_samples
            return JitterTotals(inbound.jitter_buffer_delay, inbound.jitter_buffer_emitted_count, concealed)
    return JitterTotals()
