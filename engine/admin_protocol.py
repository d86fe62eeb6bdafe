"""What administration and other engines send and get: `Orphan` by WebSocket, the others as JSON bodies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

from engine.json_messages import JsonMessage, parse_typed

ORPHANS_PATH = "/v1/orphans"
SESSIONS_PATH = "/v1/sessions"
DRAIN_PATH = "/v1/drain"
ARRIVALS_PATH = "/v1/arrivals"


@dataclass(frozen=True, slots=True)
class Orphan(JsonMessage):
    """Administration: a session whose connection was lost. Whose it is, the seat that it was opened with (""
    for none), and for how many seconds it is still held.
    """

    session: str
    room: str
    identity: str
    seat: str
    left_s: float
    type: ClassVar[str] = "orphan"


@dataclass(frozen=True, slots=True)
class Claim:
    """Administration: an orphan is the claimer's, who has `grace_s` seconds to resume it with `resume`.

    Between engines: a session has arrived, and its client has as long.
    """

    session: str
    resume: str = field(repr=False)
    grace_s: float

    def to_wire(self) -> dict[str, Any]:
        """The JSON body."""
        return asdict(self)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Self:
        """The claim of a JSON answer. Raises KeyError, TypeError."""
        return cls(str(body["session"]), str(body["resume"]), float(body["grace_s"]))


@dataclass(frozen=True, slots=True)
class Departure:
    """Administration: a session has left for the engine `to`. `bytes` of state went there; `seconds` lie
    between the last answer here and the word to its client.
    """

    session: str
    to: str
    bytes: int
    seconds: float

    def to_wire(self) -> dict[str, Any]:
        """The JSON body."""
        return asdict(self)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Self:
        """That of a JSON answer. Raises KeyError, TypeError."""
        return cls(str(body["session"]), str(body["to"]), int(body["bytes"]), float(body["seconds"]))


@dataclass(frozen=True, slots=True)
class LiveSession:
    """Administration: a session, whose it is ("" for nobody's in particular), whether it has a connection,
    and the names of the engines to which its client follows it.
    """

    session: str
    room: str
    identity: str
    connected: bool
    follows: tuple[str, ...]

    def to_wire(self) -> dict[str, Any]:
        """The JSON body."""
        return asdict(self)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Self:
        """One of a JSON answer's. Raises KeyError, TypeError."""
        return cls(
            str(body["session"]),
            str(body["room"]),
            str(body["identity"]),
            bool(body["connected"]),
            tuple(map(str, body["follows"])),
        )


def parse_orphan(text: str) -> Orphan:
    """A message of the administration's feed. Unknown fields are passed over. Raises SessionError."""
    kind, body = parse_typed(text, {Orphan.type: Orphan}, strict=False)
    return kind(**body)
