"""Callers of `/api/chat` wait for a seat in the order in which they came; others are refused at once."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import EngineDraining, EngineFull, LineFull, TooManySessions, WaitedTooLong
from engine.protocol import Ready, SessionRequest
from engine.service.metrics import Metrics
from engine.service.seats import Seats
from engine.service.session import Session
from engine.service.sessions import Sessions

_POLL_S = 0.1


class WaitingLine:
    """Seats for callers of `/api/chat`, all but those that are kept for rooms.

    places: how many may wait; patience_s: how long; room_share: the share of seats that chats never take.
    """

    def __init__(
        self,
        sessions: Sessions,
        seats: Seats,
        metrics: Metrics,
        *,
        places: int,
        patience_s: float,
        room_share: float,
    ) -> None:
        self._sessions = sessions
        self._seats = seats
        self._metrics = metrics
        self._places = places
        self._patience_s = patience_s
        self._most_chats = seats.total - math.ceil(room_share * seats.total)
        self._chats = 0
        self._waiting = 0
        self._head = asyncio.Lock()

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place in the line, and the seat that it becomes. Raises LineFull, EngineDraining."""
        with self._counting():
            if self._sessions.state != "open":
                raise EngineDraining
            if self._waiting >= self._places + self.free:
                raise LineFull(self._waiting)
        place = Place(self)
        self._waiting += 1
        try:
            yield place
        finally:
            if place.session is None:
                self._waiting -= 1
            else:
                self._chats -= 1

    @property
    def free(self) -> int:
        """How many seats are free that a chat may take."""
        return max(0, min(self._seats.free, self._most_chats - self._chats))

    async def open(self, request: SessionRequest) -> tuple[Session, Ready]:
        """A session, once it is this caller's turn and a seat is free.

        Raises WaitedTooLong, EngineDraining, SessionError.
        """
        with self._counting():
            try:
                async with asyncio.timeout(self._patience_s), self._head:
                    while True:
                        if opened := self._try(request):
                            self._waiting -= 1
                            self._chats += 1
                            return opened
                        await asyncio.sleep(_POLL_S)
            except TimeoutError:
                raise WaitedTooLong(round(self._patience_s)) from None

    def _try(self, request: SessionRequest) -> tuple[Session, Ready] | None:
        if self._sessions.state != "open":
            raise EngineDraining
        if not self.free:
            return None
        try:
            return self._sessions.open(request)
        except (EngineFull, TooManySessions):
            return None

    @contextmanager
    def _counting(self) -> Iterator[None]:
        try:
            yield
        except (EngineDraining, LineFull, WaitedTooLong) as refusal:
            self._metrics.refused(refusal.code)
            raise


class Place:
    """One caller's place in the line."""

    def __init__(self, line: WaitingLine) -> None:
        self._line = line
        self.session: Session | None = None

    async def open(self, request: SessionRequest) -> tuple[Session, Ready]:
        """As `WaitingLine.open`."""
        self.session, ready = await self._line.open(request)
        return self.session, ready
