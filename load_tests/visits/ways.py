"""How callers who come and go reach whom they call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from load_tests.callers.one_call import Seat
from load_tests.visits.plan import Visit
from worker.caller.caller import new_room, token
from worker.settings import LiveKitSettings


class Way(Protocol):
    """Makes the seats of visits."""

    @property
    def livekit_url(self) -> str:
        """Of the server whose processes are watched, "" for none."""

    def seat(self, number: int, visit: Visit) -> Seat:
        """For the caller with this number."""


@dataclass(frozen=True, slots=True)
class ByRoom:
    """Each makes a room, and an agent is sent there."""

    settings: LiveKitSettings

    @property
    def livekit_url(self) -> str:
        """Where the rooms are."""
        return self.settings.livekit_url

    def seat(self, number: int, visit: Visit) -> Seat:
        """With a token of its own."""
        room = new_room()
        return _visiting(
            Seat(number, "webrtc", room, self.settings.livekit_url, token(self.settings, room)), visit
        )


@dataclass(frozen=True, slots=True)
class ByPage:
    """Each asks a worker's web page for a call, and is told at once if there is none."""

    page: str
    secret: str
    livekit_url: str

    def seat(self, number: int, visit: Visit) -> Seat:
        """Room and token are the page's to give."""
        return _visiting(
            Seat(number, "webrtc", f"call-{number}", self.page, self.secret, by_page=True), visit
        )


@dataclass(frozen=True, slots=True)
class BySocket:
    """Each opens a session of the engine itself."""

    url: str
    token: str
    livekit_url: str = ""

    def seat(self, number: int, visit: Visit) -> Seat:
        """There is no room."""
        return _visiting(Seat(number, "session", f"session-{number}", self.url, self.token), visit)


def seats(way: Way, visits: Sequence[Visit]) -> list[Seat]:
    """One for each visit."""
    return [way.seat(number, visit) for number, visit in enumerate(visits)]


def _visiting(seat: Seat, visit: Visit) -> Seat:
    return replace(seat, joins_at_s=visit.joins_at_s, seconds=visit.seconds)
