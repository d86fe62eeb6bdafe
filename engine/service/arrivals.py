"""Sessions that another engine hands over: announced, brought, and resumed by their clients."""

import asyncio
import re
from asyncio import IncompleteReadError
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from aiohttp import StreamReader, web

from engine.admin_protocol import ARRIVALS_PATH, Claim
from engine.errors import SnapshotError
from engine.service.grace import Grace
from engine.service.peer import MOST_S
from engine.service.returns import Returns
from engine.service.seats import Seats
from engine.service.session import Owner
from engine.service.sessions import Sessions
from engine.state.saved import SavedForm
from engine.step.moves import HostCopy

_UNFETCHED = 0.5
"""The share of its grace period after which a session that nobody has fetched is told to be lost."""
_SESSION_ID = re.compile(r"[0-9a-f]{16}")


class Arrivals:
    """The routes for peers. Everything that they say is checked, and before any of it is kept, its size."""

    def __init__(
        self, sessions: Sessions, seats: Seats, grace: Grace, form: SavedForm, returns: Returns
    ) -> None:
        self._sessions = sessions
        self._seats = seats
        self._grace = grace
        self._form = form
        self._returns = returns

    def routes(self) -> list[web.RouteDef]:
        """To be kept behind the token of the peers."""
        return [
            web.get(ARRIVALS_PATH, self._asked),
            web.post(ARRIVALS_PATH, self._announced),
            web.put(ARRIVALS_PATH + "/{session}", self._brought),
            web.delete(ARRIVALS_PATH + "/{session}", self._withdrawn),
        ]

    async def _asked(self, request: web.Request) -> web.Response:
        self._check(request.query.get("fingerprint", ""))
        return web.Response(status=204)

    async def _announced(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            session, fingerprint = str(body["session"]), str(body["fingerprint"])
        except (LookupError, RecursionError, TypeError, ValueError):
            raise SnapshotError('a session is announced with {"session", "fingerprint"}') from None
        if not _SESSION_ID.fullmatch(session) or self._sessions.get(session) is not None:
            raise SnapshotError("this is no session's id, or one that is here already")
        self._check(fingerprint)
        self._sessions.reserve(_seat(session), MOST_S)
        return web.Response(status=204)

    def _check(self, fingerprint: str) -> None:
        if fingerprint != self._form.fingerprint:
            raise SnapshotError("the other engine has another model, or this one in other precisions")
        if not self._grace.seconds:
            raise SnapshotError(
                "the other engine holds no session until its client comes: its ENGINE_GRACE_SECONDS is 0"
            )

    async def _brought(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        if not self._seats.holds(_seat(session)):
            raise SnapshotError("announce a session before you bring it")
        self._seats.reserve(_seat(session), MOST_S)
        source = cast(BinaryIO, _Source(request.content, asyncio.get_running_loop()))
        saved = await asyncio.to_thread(self._form.load, source)
        owner, seed, frames = _facts(saved.session)
        if not self._seats.holds(_seat(session)) or self._sessions.get(session) is not None:
            raise SnapshotError("the session was withdrawn while it was brought, or is here already")
        arrived = self._sessions.arrive(
            session, seed, owner, frames, _seat(session), HostCopy(saved.snapshot)
        )
        if not await self._sessions.settled(arrived, MOST_S):
            self._sessions.close(arrived, "withdrawn")
            raise SnapshotError("the session could not be put into a slot here")
        token = self._grace.token(arrived.id)
        self._grace.begin(arrived.id)
        # A client that lives has fetched it long before. One that died on the way fetches nothing.
        wait_s = self._grace.seconds * _UNFETCHED
        asyncio.get_running_loop().call_later(wait_s, self._returns.tell_if_lost, arrived)
        return web.json_response(Claim(arrived.id, token, self._grace.seconds).to_wire(), status=201)

    async def _withdrawn(self, request: web.Request) -> web.Response:
        self._seats.release(_seat(request.match_info["session"]))
        session = self._sessions.get(request.match_info["session"])
        if session is not None and not session.was_fetched:
            self._sessions.close(session, "withdrawn")
        return web.Response(status=204)


class _Source:
    """What a peer sends, as a file for a thread: as many bytes as are asked for, fewer at the end."""

    def __init__(self, content: StreamReader, events: asyncio.AbstractEventLoop) -> None:
        self._content = content
        self._events = events

    def read(self, size: int) -> bytes:
        """Raises SnapshotError when nothing comes."""
        reading = asyncio.run_coroutine_threadsafe(self._content.readexactly(size), self._events)
        try:
            return reading.result(MOST_S)
        except IncompleteReadError as end:
            return end.partial
        except (ConnectionError, TimeoutError, web.HTTPException):
            reading.cancel()
            raise SnapshotError("the session is cut off") from None


def _seat(session: str) -> str:
    return f"arrival-{session}"


def _facts(session: Mapping[str, Any]) -> tuple[Owner, int, int]:
    """Whose it is, its seed, how many frames it has heard. Raises SnapshotError."""
    names = [session.get(name) for name in ("room", "identity", "seat")]
    numbers = [session.get(name) for name in ("seed", "frames")]
    if not all(name is None or isinstance(name, str) for name in names) or not all(
        type(number) is int and 0 <= number < 1 << 32 for number in numbers
    ):
        raise SnapshotError("what is said of the session cannot be used")
    return Owner(*names), session["seed"], session["frames"]
