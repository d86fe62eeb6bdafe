"""Empties an engine: no new calls, and those that are on go on at another one."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TextIO

from engine.admin import EngineAdmin
from engine.errors import EngineError, SessionGone

_POLL_S = 0.5
_TRIES = 4
"""After as many refusals a session stays: the first may be of a moment, such as a client that reconnects."""


async def empty(socket: Path, to: str, out: TextIO) -> bool:
    """Write a line about each session; whether none is left. socket: `ENGINE_ADMIN_SOCKET` of the engine.

    Whose client is not there is waited for until it comes back, or its grace period is over. Raises
    EngineUnreachable; NotMovable or what the peer answers, when it takes none.
    """
    refusals: Counter[str] = Counter()
    async with EngineAdmin(socket) as admin:
        await admin.drain(to)
        while True:
            sessions = [each for each in await admin.sessions() if refusals[each.session] < _TRIES]
            if not sessions and not await admin.reserved():
                break
            there = [each.session for each in sessions if each.connected]
            if there:
                # Those who have not been refused yet first. What is known of the others grows old meanwhile.
                session = min(there, key=lambda each: refusals[each])
                error = await _move(admin, session, to, out)
                if error is None:
                    continue
                refusals[session] += 1
                if refusals[session] == _TRIES:
                    print(f"{session} stays: {error}", file=out)
            await asyncio.sleep(_POLL_S)
    stay = [session for session, count in refusals.items() if count == _TRIES]
    if stay:
        print(f"{len(stay)} stay; the engine takes no new calls, and SIGTERM waits for these", file=out)
    else:
        print("empty: the engine takes no new calls and can be stopped", file=out)
    return not stay


async def _move(admin: EngineAdmin, session: str, to: str, out: TextIO) -> EngineError | None:
    """Why the session is still there."""
    try:
        gone = await admin.move(session, to)
    except SessionGone:
        return None
    except EngineError as error:
        return error
    print(f"{session} moved to {to}: {gone.bytes / 2**20:.1f} MiB in {1000 * gone.seconds:.0f} ms", file=out)
    return None
