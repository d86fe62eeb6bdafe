"""Empties an engine: no new calls, and those that are on go on at another one."""

import asyncio
from pathlib import Path
from typing import TextIO

from engine.admin import EngineAdmin
from engine.errors import EngineError, SessionGone

_POLL_S = 0.5


async def empty(socket: Path, to: str, out: TextIO) -> bool:
    """Write a line about each session; whether none is left. socket: `ENGINE_ADMIN_SOCKET` of the engine.

    Whose client is not there is waited for until it comes back, or its grace period is over. Raises
    EngineUnreachable; NotMovable or what the peer answers, when it takes none.
    """
    stay: set[str] = set()
    async with EngineAdmin(socket) as admin:
        await admin.drain(to)
        while sessions := [session for session in await admin.sessions() if session.session not in stay]:
            for session in sessions:
                if session.connected:
                    stay |= await _move(admin, session.session, to, out)
            if not all(session.connected for session in sessions):
                await asyncio.sleep(_POLL_S)
    if stay:
        print(f"{len(stay)} stay; the engine takes no new calls, and SIGTERM waits for these", file=out)
    else:
        print("empty: the engine takes no new calls and can be stopped", file=out)
    return not stay


async def _move(admin: EngineAdmin, session: str, to: str, out: TextIO) -> set[str]:
    """The session, if it stays."""
    try:
        gone = await admin.move(session, to)
    except SessionGone:
        return set()
    except EngineError as error:
        print(f"{session} stays: {error}", file=out)
        return {session}
    print(f"{session} moved to {to}: {gone.bytes / 2**20:.1f} MiB in {1000 * gone.seconds:.0f} ms", file=out)
    return set()
