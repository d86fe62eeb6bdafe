"""Callers who are away for a moment: paused, or their connection lost. Who may come back, and to what."""

import asyncio
import logging

from engine.admin_protocol import Claim, Orphan
from engine.errors import AlreadyClaimed, EngineError, Refused, SessionGone
from engine.protocol import Failure, Ready, SessionRequest
from engine.service.departures import Departures
from engine.service.grace import Grace
from engine.service.metrics import Metrics
from engine.service.orphans import Orphans
from engine.service.places import Places
from engine.service.session import Listener, Owner, Session
from engine.service.sessions import Sessions

log = logging.getLogger(__name__)

# A client that was refused has asked again by then.
_ASKS_AGAIN_S = 4.0


class Returns:
    """Used from the event loop alone, so that a session is claimed once and resumed once."""

    def __init__(
        self,
        sessions: Sessions,
        places: Places,
        grace: Grace,
        orphans: Orphans,
        departures: Departures,
        metrics: Metrics,
    ) -> None:
        self._sessions = sessions
        self._places = places
        self._grace = grace
        self._orphans = orphans
        self._departures = departures
        self._metrics = metrics
        grace.expired = self._expire

    def hear(self, session: Session, pcm: bytes) -> None:
        """Sound from the caller, who is there again with it. Raises SessionError."""
        if session.place.away and not session.frozen:
            try:
                self._come_back(session, None)
            except Refused as refusal:
                self._hold(session, "held", refusal)
                return
        session.receive(pcm)

    def pause(self, session: Session) -> None:
        """The caller is away, the connection is not."""
        session.pause()
        self._places.step_aside(session.place)

    def lose(self, session: Session, listener: Listener) -> None:
        """A connection is gone. Nothing happens to a session that has ended, or goes on over another."""
        if session.listener is listener and not listener.over.is_set():
            self._hold(session, "connection_lost")

    def resume(self, token: str, request: SessionRequest) -> tuple[Session, Ready]:
        """The session that `token` brings back, and what its client is told first.

        Raises SessionMoved, SessionGone, or a refusal after which it is held as before.
        """
        owner = Owner(request.room, request.identity)
        self._departures.forward(token, owner)
        session = self._sessions.get(self._grace.find(token) or "")
        if session is None or not session.owner.is_same(owner):
            raise SessionGone(
                "no session is held under this token, for this room and identity: open a new one"
            )
        try:
            self._come_back(session, request.seat)
        except Refused:
            if not session.connected:
                # Who asks is there, and will ask again.
                session.asked_at = asyncio.get_running_loop().time()
                self._grace.begin(session.id)
            raise
        self._grace.end(session.id)
        self._places.silence(session.place)
        session.connect()
        session.follows = request.follows
        log.info("call goes on", extra={"session": session.id, "frame": session.next_frame})
        return session, self._sessions.ready(session, token)

    def confirm(self, session: Session) -> None:
        """The client has spoken: it has the token of its `Ready`, and no other is good any more."""
        self._grace.confirm(session.id)

    def orphans(self) -> list[Orphan]:
        """The sessions of rooms that are held without a connection."""
        return [self._orphan(session) for session in self._sessions.lost if session.owner.room is not None]

    def claim(self, session_id: str) -> Claim:
        """Give an orphan to whoever asks first. Raises AlreadyClaimed, SessionGone."""
        session = self._sessions.get(session_id)
        if session is None or session.connected:
            raise SessionGone("no such session is held: it was resumed, or is over")
        if session.claimed:
            raise AlreadyClaimed("somebody else has claimed this session")
        if asyncio.get_running_loop().time() - session.asked_at < _ASKS_AGAIN_S:
            raise AlreadyClaimed("its client is there and waits for a seat")
        session.claimed = True
        token = self._grace.token(session.id)
        self._grace.begin(session.id)
        return Claim(session.id, token, self._grace.seconds)

    def _come_back(self, session: Session, seat: str | None) -> None:
        """Raises a refusal, after which the caller is away as before."""
        if not session.place.away:
            self._places.come_back(session.place, seat)
            return
        where = "slot" if session.place.slot is not None else "host"
        promised = where == "slot" or self._places.is_promised(seat)
        with self._sessions.admission(promised=promised, returning=True):
            self._places.come_back(session.place, seat)
        self._metrics.resumed(where)

    def _hold(self, session: Session, reason: str, failure: EngineError | None = None) -> None:
        """Keep a session without a connection, as long as one may be."""
        if not self._grace.seconds:
            self._sessions.close(session, "error" if failure else reason, failure)
            return
        session.disconnect(reason, Failure(failure.code, str(failure)) if failure else None)
        self._places.silence(session.place)
        self._places.step_aside(session.place)
        self._grace.begin(session.id)
        log.info("call held", extra={"session": session.id, "grace_s": self._grace.seconds})
        self.tell_if_lost(session)

    def tell_if_lost(self, session: Session) -> None:
        """Tell whoever watches of a session of a room that has no connection, unless it is claimed."""
        is_here = self._sessions.get(session.id) is session
        if is_here and not (session.connected or session.claimed) and session.owner.room is not None:
            self._orphans.tell(self._orphan(session))

    def _orphan(self, session: Session) -> Orphan:
        owner = session.owner
        left_s = round(self._grace.left_s(session.id), 1)
        return Orphan(session.id, owner.room or "", owner.identity or "", owner.seat or "", left_s)

    def _expire(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            self._sessions.close(session, "connection_lost")
