"""Notices a device that has stopped answering."""

import asyncio
from collections.abc import Callable

_POLL_S = 0.25


async def hung(working_on: Callable[[], object | None], limit_s: float) -> None:
    """Return once the same work has been going on for `limit_s` seconds.

    Counted in polls: a process that was stopped as a whole, or a laptop that slept, is no hung device.
    """
    work, polls = None, 0
    while work is None or polls * _POLL_S < limit_s:
        await asyncio.sleep(_POLL_S)
        now = working_on()
        polls = polls + 1 if now == work else 0
        work = now
