"""For how long a room is kept for a caller who is gone.

A room closes by itself, with the agent in it, when its departure timeout is over: the grace period must end
before that.
"""

import logging
import math

log = logging.getLogger(__name__)

MARGIN_S = 2.0
"""From the end of the grace period until the room closes: as long as a call takes to end."""


def departure_timeout_s(grace_s: float) -> int:
    """The departure timeout of a room in which callers have this grace period."""
    return math.ceil(grace_s + MARGIN_S)


def grace_in(departure_timeout_s: float, wanted_s: float, call_id: str) -> float:
    """The grace period in a room with this departure timeout: what is wanted, or what there is."""
    most_s = max(0.0, departure_timeout_s - MARGIN_S)
    if wanted_s > most_s:
        log.warning(
            "the room closes before WORKER_GRACE_SECONDS are over: give it a longer departure timeout",
            extra={"call": call_id, "departure_timeout_s": departure_timeout_s, "grace_s": most_s},
        )
    return min(wanted_s, most_s)
