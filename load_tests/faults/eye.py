"""The engine as it is seen from outside while things go wrong: is it ready, whose sessions has it?"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from engine.admin import EngineAdmin
from engine.admin_protocol import LiveSession
from engine.errors import EngineError
from load_tests.faults.stage import Stage

_EVERY_S = 0.1
_PROBE_S = 1.0
"""An orchestrator's probe gives up after this time by default."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. sessions: None while nobody answers."""

    at: float
    ready: bool
    sessions: tuple[LiveSession, ...] | None


@dataclass(slots=True)
class Eye:
    """What was seen, the oldest first; only what changed."""

    seen: list[Seen] = field(default_factory=list)

    def session_of(self, room: str, at: float) -> str | None:
        """Which session was in a room at this time, the newest if there are several; None: none."""
        looks = [look for look in self.seen if look.at <= at and look.sessions is not None]
        found = [one.session for one in (looks[-1].sessions or () if looks else ()) if one.room == room]
        return found[-1] if found else None

    def sessions_in(self, room: str, at: float) -> int:
        """How many were there."""
        looks = [look for look in self.seen if look.at <= at and look.sessions is not None]
        return sum(one.room == room for one in (looks[-1].sessions or ())) if looks else 0

    def unready_after(self, at: float, until: float) -> float | None:
        """How many seconds later it was not ready; None if it was all the time."""
        return next((look.at - at for look in self.seen if at <= look.at < until and not look.ready), None)

    def back_after(self, room: str, at: float, until: float) -> float | None:
        """How many seconds later a room had a connected session again; None: it lost none, or got none."""
        lost = False
        for look in self.seen:
            if at <= look.at < until:
                connected = any(one.room == room and one.connected for one in look.sessions or ())
                if lost and connected:
                    return look.at - at
                lost = lost or not connected
        return None

    def note(self, look: Seen) -> None:
        """Keep it if anything is new."""
        last = self.seen[-1] if self.seen else None
        if last is None or (last.ready, last.sessions) != (look.ready, look.sessions):
            self.seen.append(look)


@asynccontextmanager
async def watching(stage: Stage) -> AsyncIterator[Eye]:
    """Look all the time, until the block is left."""
    eye = Eye()
    looking = [asyncio.create_task(_look_at_sessions(stage, eye)), asyncio.create_task(_probe(stage, eye))]
    try:
        yield eye
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _look_at_sessions(stage: Stage, eye: Eye) -> None:
    async with EngineAdmin(stage.admin_socket) as admin:
        while True:
            sessions = None
            try:
                async with asyncio.timeout(_PROBE_S):
                    sessions = tuple(await admin.sessions())
            except (EngineError, TimeoutError):
                pass
            ready = eye.seen[-1].ready if eye.seen else False
            eye.note(Seen(time.monotonic(), ready, sessions))
            await asyncio.sleep(_EVERY_S)


async def _probe(stage: Stage, eye: Eye) -> None:
    timeout = aiohttp.ClientTimeout(total=_PROBE_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        while True:
            ready = False
            try:
                async with http.get(stage.ready_url) as answer:
                    ready = answer.ok
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            sessions = eye.seen[-1].sessions if eye.seen else None
            eye.note(Seen(time.monotonic(), ready, sessions))
            await asyncio.sleep(_EVERY_S)
