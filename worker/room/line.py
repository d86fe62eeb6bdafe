"""Whether a caller's sound still comes: who has lost their network is in the room for 20 s more.

Somebody who is connected sends packets: 50 a second, in silence (DTX) one every 0.4 s, none only while muted.
So it is for all clients on WebRTC; a telephone that suppresses silence sends none while nobody speaks. The
SDK's frames tell nothing: WebRTC's receiver makes up silence for as long as it is asked.
"""

import asyncio
import logging
from collections.abc import Callable

from livekit import rtc

log = logging.getLogger(__name__)

LOST_AFTER_S = 1.3
"""Over a second, and longer than two packets of silence are apart of which another two were lost."""
LOOK_S = 0.2
QUIET_LOOK_S = 1.0


class Line:
    """Tell it what each look has found: `works` says whether the caller's sound comes, or would. Pure."""

    def __init__(self) -> None:
        self.works = True
        self._muted_at = 0.0

    def look(self, now: float, packet_at: float, *, muted: bool) -> float:
        """The last packet came at `packet_at`, 0 if none has, both in seconds. In how many seconds to look
        again.
        """
        if muted:
            self._muted_at = packet_at
        # Whoever has just unmuted needs a moment for their first packet.
        if muted or packet_at <= self._muted_at:
            self.works = True
            return QUIET_LOOK_S
        left_s = packet_at + LOST_AFTER_S - now
        self.works = left_s > 0
        return max(LOOK_S, left_s)


async def watch(track: rtc.Track, is_muted: Callable[[], bool], tell: Callable[[bool], None]) -> None:
    """Call `tell` with whether the line works, once something has come and whenever that changes; until
    cancelled.
    """
    line, told, failed = Line(), None, False
    while True:
        again_s = QUIET_LOOK_S
        try:
            now, packet_at = await _last_packet(track)
        except Exception:
            # The SDK has no narrower error. What is not known for a while has not changed.
            if not failed:
                log.warning("the caller's line could not be looked at", exc_info=True)
            failed = True
        else:
            again_s = line.look(now, packet_at, muted=is_muted())
            if packet_at and line.works is not told:
                told = line.works
                tell(told)
        await asyncio.sleep(again_s)


async def _last_packet(track: rtc.Track) -> tuple[float, float]:
    """When it was asked, and when the last packet came (0: none has), in seconds by WebRTC's clock."""
    for stats in await track.get_stats():
        if stats.WhichOneof("stats") == "inbound_rtp":
            rtp = stats.inbound_rtp
            return rtp.rtc.timestamp / 1e6, rtp.inbound.last_packet_received_timestamp / 1e3
    return 0.0, 0.0
