"""The torch-free client of an engine's administration: sessions that lost their connection, claimed once;
sessions that go on at another engine.

async with EngineAdmin(Path("/run/moshi/admin.sock")) as admin:
    async for orphan in admin.orphans():
        claim = await admin.claim(orphan.session)
"""

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from engine.admin_protocol import (
    DRAIN_PATH,
    ORPHANS_PATH,
    SESSIONS_PATH,
    Claim,
    Departure,
    LiveSession,
    Orphan,
    parse_orphan,
)
from engine.connection import ANSWER_TIMEOUT_S, HEARTBEAT_S, Connection
from engine.protocol import SEATS_PATH

# The longest that engines take among themselves, and time for their answers.
_MOVE_TIMEOUT_S = 30.0 + 3 * ANSWER_TIMEOUT_S


class EngineAdmin:
    """One engine by its `ENGINE_ADMIN_SOCKET`.

    Build it inside a running event loop. Every method raises EngineUnreachable when nobody answers.
    """

    def __init__(self, socket: Path) -> None:
        self._engine = Connection(f"unix:{socket}", "ENGINE_ADMIN_SOCKET")

    async def orphans(self) -> AsyncIterator[Orphan]:
        """Every session that is held without a connection, and each as it loses its own.

        Never ends by itself: raises EngineUnreachable when the engine goes down.
        """
        async with self._engine.reaching():
            socket = await self._engine.http.ws_connect(self._engine.at(ORPHANS_PATH), heartbeat=HEARTBEAT_S)
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                yield parse_orphan(message.data)
        finally:
            await socket.close()
        raise self._engine.lost()

    async def claim(self, session: str) -> Claim:
        """Make an orphan one's own, to resume it with what is returned.

        Raises AlreadyClaimed if somebody was faster, SessionGone if it is held no more.
        """
        url = self._engine.at(ORPHANS_PATH) / session / "claim"
        async with self._engine.reaching(), self._engine.http.post(url) as answer:
            return Claim.from_wire(await answer.json())

    async def sessions(self) -> list[LiveSession]:
        """Every session that is on or held."""
        url = self._engine.at(SESSIONS_PATH)
        async with self._engine.reaching(), self._engine.http.get(url) as answer:
            return [LiveSession.from_wire(body) for body in await answer.json()]

    async def move(self, session: str, to: str) -> Departure:
        """Let a session go on at a peer of the engine.

        Raises SessionGone if it is over; NotMovable, or what the peer answered: then it goes on where it is.
        """
        url = self._engine.at(SESSIONS_PATH) / session / "move"
        limit = aiohttp.ClientTimeout(total=_MOVE_TIMEOUT_S)
        async with (
            self._engine.reaching(),
            self._engine.http.post(url, json={"to": to}, timeout=limit) as answer,
        ):
            return Departure.from_wire(await answer.json())

    async def reserved(self) -> int:
        """How many seats are kept for calls that have not begun."""
        url = self._engine.at(SEATS_PATH)
        async with self._engine.reaching(), self._engine.http.get(url) as answer:
            return int((await answer.json())["reserved"])

    async def drain(self, to: str) -> None:
        """Let the engine take no new calls, for those that are on are to go to a peer of it.

        Raises NotMovable, or what the peer answered: then all is as before.
        """
        url, body = self._engine.at(DRAIN_PATH), {"to": to}
        async with self._engine.reaching(), self._engine.http.post(url, json=body):
            pass

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
