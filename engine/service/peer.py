"""Another engine that takes over sessions of this one."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp

from engine.admin_protocol import ARRIVALS_PATH, Claim
from engine.connection import Connection

MOST_S = 30.0
"""A session has arrived within this time, or stays where it is."""
_AT_ONCE = 1 << 20

Pieces = Iterator[bytes | memoryview]


class Peer:
    """One of `ENGINE_PEERS`. Build it inside a running event loop.

    Every method raises EngineUnreachable when nobody answers, Unauthorized for a wrong token, and what it
    names itself.
    """

    def __init__(self, url: str, token: str) -> None:
        self._engine = Connection(url, "ENGINE_PEERS", token)

    async def ask(self, fingerprint: str) -> None:
        """Whether it takes sessions of this model at all. Raises SnapshotError if not."""
        url = self._engine.at(ARRIVALS_PATH).with_query(fingerprint=fingerprint)
        async with self._engine.reaching(), self._engine.http.get(url):
            pass

    async def announce(self, session: str, fingerprint: str) -> None:
        """Ask for a seat for a session of this model. Raises SnapshotError for another, or a refusal."""
        body = {"session": session, "fingerprint": fingerprint}
        url = self._engine.at(ARRIVALS_PATH)
        async with self._engine.reaching(), self._engine.http.post(url, json=body):
            pass

    async def send(self, session: str, pieces: Pieces) -> Claim:
        """Hand it over: the token with which its client goes on there. Raises SnapshotError, or a refusal."""
        url = self._engine.at(ARRIVALS_PATH) / session
        limit = aiohttp.ClientTimeout(total=MOST_S)
        async with (
            self._engine.reaching(),
            self._engine.http.put(url, data=_streamed(pieces), timeout=limit) as answer,
        ):
            return Claim.from_wire(await answer.json())

    async def withdraw(self, session: str) -> None:
        """It stays here, or is over: whatever the other engine has of it is nobody's."""
        url = self._engine.at(ARRIVALS_PATH) / session
        async with self._engine.reaching(), self._engine.http.delete(url):
            pass

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.http.close()


async def _streamed(pieces: Pieces) -> AsyncIterator[bytes | memoryview]:
    # Checksums of large pieces would hold up everybody's answers.
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        for at in range(0, len(piece), _AT_ONCE):
            yield piece[at : at + _AT_ONCE]
