"""Whether every seat is free again when all callers have left."""

import asyncio
import time

from engine.client import EngineClient, SeatCount

_PATIENCE_S = 40.0
_POLL_S = 0.5


async def taken(engine_url: str, token: str) -> int:
    """How many seats of the engine are taken. Raises EngineError."""
    return _taken(await _count(engine_url, token))


async def lost(engine_url: str, token: str, before: int) -> int:
    """How many more are taken than `before`, as soon as none is, or after all that might bring one back.

    A call whose connection was lost keeps its seat for a grace period. Raises EngineError.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        more = _taken(await _count(engine_url, token)) - before
        if more <= 0 or time.monotonic() > deadline:
            return max(0, more)
        await asyncio.sleep(_POLL_S)


async def _count(engine_url: str, token: str) -> SeatCount:
    async with EngineClient(engine_url, token or None) as engine:
        return await engine.seats()


def _taken(count: SeatCount) -> int:
    return count.in_calls + count.reserved
