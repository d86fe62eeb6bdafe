"""Live sessions that go on at another engine, and never notice but for a moment."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

from engine.admin_protocol import Departure
from engine.errors import EngineError, NotMovable, SessionGone, SessionMoved
from engine.protocol import Moved
from engine.service.grace import Grace
from engine.service.peer import Peer
from engine.service.places import Places
from engine.service.session import Owner, Session
from engine.service.sessions import Sessions
from engine.state.saved import SavedForm, SavedSession
from engine.state.snapshot import Snapshot
from engine.step.moves import Copy, HostCopy

log = logging.getLogger(__name__)

_POLL_S = 0.02


class Departures:
    """Used from the event loop alone.

    peers: addresses by name; token: what they want to see; form: how sessions are saved. Without a token or a
    form none leaves.
    """

    def __init__(
        self,
        sessions: Sessions,
        places: Places,
        grace: Grace,
        peers: Mapping[str, str],
        token: str | None,
        form: SavedForm | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._places = places
        self._grace = grace
        self._addresses = peers
        self._token = token
        self._form = form
        self._clock = clock
        self._peers: dict[str, Peer] = {}
        self._leaving: set[str] = set()
        self._copies: dict[int, asyncio.Future[bool]] = {}
        self._forwarded: dict[str, tuple[Owner, Moved]] = {}
        sessions.copied = self._copied

    async def ask(self, to: str) -> None:
        """Whether sessions can go there. Raises NotMovable, or what the peer answers."""
        await self._peer(to).ask(self._own_form.fingerprint)

    async def move(self, session_id: str, to: str) -> Departure:
        """Let a session go on at the peer `to`. Raises SessionGone; NotMovable or what the peer answers,
        after which it goes on here.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionGone("no such session is here: it is over, or has moved")
        peer = self._peer(to)
        self._check(session, to)
        self._leaving.add(session.id)
        try:
            departure = await self._move(session, peer, to)
        except EngineError as error:
            log.warning("a call was not moved", extra={"session": session.id, "to": to, "detail": str(error)})
            raise
        finally:
            self._leaving.discard(session.id)
        log.info("call moved", extra=asdict(departure))
        return departure

    def forward(self, token: str, owner: Owner) -> None:
        """Raises SessionMoved for the token of a session that has left: its client did not hear of it."""
        whose, moved = self._forwarded.get(token, (None, None))
        if whose is not None and moved is not None and whose.is_same(owner):
            raise SessionMoved(moved.engine, moved.resume)

    async def close(self) -> None:
        """Close every connection."""
        for peer in self._peers.values():
            await peer.close()

    async def _move(self, session: Session, peer: Peer, to: str) -> Departure:
        form = self._own_form
        await peer.announce(session.id, form.fingerprint)
        async with _frozen(session, peer):
            self._check_still_here(session, to)
            frozen_at = self._clock()
            snapshot = await self._copy(session, to)
            saved = SavedSession(snapshot, asdict(session.owner) | session.facts)
            claim = await peer.send(session.id, form.save(saved))
            self._check_still_here(session, to)
            moved = Moved(to, claim.resume, session.next_frame)
            self._forward(session, moved, claim.grace_s)
            session.listener.tell(moved)
            self._sessions.close(session, "moved")
            silent_s = self._clock() - max(frozen_at, session.answered_at)
            return Departure(session.id, to, snapshot.nbytes, round(silent_s, 3))

    def _peer(self, name: str) -> Peer:
        if name not in self._addresses or self._token is None:
            known = ", ".join(self._addresses) or "none"
            raise NotMovable(f"ENGINE_PEERS names no engine {name!r} here; it names {known}")
        if name not in self._peers:
            self._peers[name] = Peer(self._addresses[name], self._token)
        return self._peers[name]

    @property
    def _own_form(self) -> SavedForm:
        assert self._form is not None, "who has the token of the peers has a form"
        return self._form

    def _check(self, session: Session, to: str) -> None:
        """Raises NotMovable."""
        if session.id in self._leaving:
            raise NotMovable("it is being moved already")
        if not session.connected:
            raise NotMovable("its client is not there to be told; it goes on here when it comes back")
        self._check_follows(session, to)

    def _check_follows(self, session: Session, to: str) -> None:
        if to not in session.follows:
            raise NotMovable(
                f"its client does not know an engine {to!r}: is it in the ENGINE_PEERS of its worker?"
            )

    def _check_still_here(self, session: Session, to: str) -> None:
        """Raises SessionGone, NotMovable."""
        if self._sessions.get(session.id) is not session:
            raise SessionGone("it ended while it was moved")
        if not session.connected:
            raise NotMovable("its client lost its connection while it was moved")
        # Another client than the one that was asked may have resumed it.
        self._check_follows(session, to)

    async def _copy(self, session: Session, to: str) -> Snapshot:
        """Its state, once all that it has heard is answered. Raises NotMovable, SessionGone."""
        if session.place.left is not None:
            raise NotMovable("it is on its way out of its slot: try again")
        copy = self._places.copy(session.place)
        if not isinstance(copy, HostCopy):
            over = self._copies[id(copy)] = asyncio.get_running_loop().create_future()
            try:
                while not over.done():
                    self._check_still_here(session, to)
                    await asyncio.wait([over], timeout=_POLL_S)
            finally:
                del self._copies[id(copy)]
            if not over.result():
                raise NotMovable("its state could not be copied: is host memory full?")
            copy = copy.copy
        assert copy.snapshot is not None, "the copy is over"
        return copy.snapshot

    def _copied(self, copy: Copy, arrived: bool) -> None:
        over = self._copies.get(id(copy))
        if over is not None and not over.done():
            over.set_result(arrived)

    def _forward(self, session: Session, moved: Moved, seconds: float) -> None:
        """Know for a while where it went, by every token that it could come back with."""
        for token in self._grace.tokens(session.id):
            self._forwarded[token] = (session.owner, moved)
            asyncio.get_running_loop().call_later(seconds, self._forwarded.pop, token, None)


@asynccontextmanager
async def _frozen(session: Session, peer: Peer) -> AsyncIterator[None]:
    """The session hears nothing within. If it does not leave, it goes on and the peer is told."""
    session.frozen = True
    try:
        yield
    except BaseException:
        session.thaw()
        with suppress(EngineError):
            await peer.withdraw(session.id)
        raise
