"""A call in which nobody speaks any more is ended, and its caller is told before."""

import asyncio
from collections.abc import Callable

from engine.level import SPEECH_DB

MOST_NOTICE_S = 30.0
_LOOK_S = 0.5


class Idle:
    """How long a caller has said nothing. Times in monotonic seconds. Pure."""

    def __init__(self, now: float) -> None:
        self._heard_at = now

    def frame(self, level_db: float, now: float) -> None:
        """The caller's frame had this level."""
        if level_db > SPEECH_DB:
            self._heard_at = now

    def begin(self, now: float) -> None:
        """They are there, for the first time or again."""
        self._heard_at = now

    def for_s(self, now: float) -> float:
        """How long it has been."""
        return now - self._heard_at


async def watch(idle_s: Callable[[], float], limit_s: float, warn: Callable[[str], None]) -> None:
    """Return when `idle_s()` has come to `limit_s`; before that, `warn`. 0: never."""
    notice_s = min(MOST_NOTICE_S, limit_s / 2)
    warned = False
    while limit_s:
        left_s = limit_s - idle_s()
        if left_s <= 0:
            return
        if left_s > notice_s:
            warned = False
            await asyncio.sleep(left_s - notice_s)
            continue
        if not warned:
            warned = True
            warn(f"I hear nobody. This call ends in {round(left_s)} seconds, unless you say something.")
        await asyncio.sleep(min(left_s, _LOOK_S))
    await asyncio.Event().wait()
