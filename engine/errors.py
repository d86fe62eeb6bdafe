"""Every error that a user or a client can cause, with the remedy in its text.

EngineError
├── UserError            what was given is wrong: exit code 2
│   ├── SettingError     an option or a setting
│   ├── CheckpointError  a model's files
│   ├── AudioFileError   a recording
│   ├── Unauthorized     the token
│   ├── ForbiddenOrigin  a web page that may not talk to this engine
│   ├── SessionError     what a client sent for or on its session: ends that session alone
│   ├── NotServed        what this engine has no model for
│   ├── SnapshotError    a saved session that this engine cannot go on with
│   ├── SessionGone      a session that nobody can resume any more, or never could
│   ├── SessionMoved     a session that goes on at another engine
│   ├── AlreadyClaimed   an orphan that somebody else has claimed
│   └── NotMovable       a session that stays on its engine
├── Refused              nothing is wrong, but not now: exit code 3
│   ├── EngineFull       every seat is taken
│   │   ├── NoTranscriber  every seat for transcriptions
│   │   └── NoSpeaker    every seat for speech
│   ├── EngineDraining   the engine is going down
│   ├── TooManySessions  opened one after the other, faster than a service needs it
│   ├── TooManyFromAddress  one address has as many calls as one may have
│   ├── LineFull         every seat is taken, and as many wait for one as may
│   └── WaitedTooLong    no seat became free in time
└── EngineUnreachable    nobody answers where the engine should be
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


class EngineError(Exception):
    """Base of the tree. `code` is its name on the wire, `http_status` how an HTTP answer carries it."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    def to_wire(self) -> dict[str, Any]:
        """The JSON body of an HTTP answer that carries this error."""
        return {"error": self.code, "message": str(self)}


class UserError(EngineError):
    """What the user gave is wrong. The text names it and the remedy, in one or two lines."""

    code = "bad_request"
    http_status = 400


class SettingError(UserError):
    """An option or an environment variable has a value that cannot be used."""

    code = "bad_setting"


class CheckpointError(UserError):
    """A model's files are missing, damaged or of another kind."""

    code = "bad_checkpoint"


class AudioFileError(UserError):
    """A recording cannot be read or written."""

    code = "bad_audio_file"


class VoiceError(UserError):
    """A file is no voice, or one of another model."""

    code = "bad_voice"


class Unauthorized(UserError):
    """The request carries no token, or a wrong one."""

    code = "unauthorized"
    http_status = 401


class ForbiddenOrigin(UserError):
    """The request comes from a web page whose origin is not allowed."""

    code = "forbidden_origin"
    http_status = 403


class SessionError(UserError):
    """What a client sent for or on its session cannot be used."""

    code = "bad_session"


class NotServed(UserError):
    """The engine has no model for what was asked of it."""

    code = "not_served"
    http_status = 404


class SnapshotError(UserError):
    """The bytes of a saved session are damaged, or those of another model."""

    code = "bad_snapshot"


class SessionGone(UserError):
    """No held session answers to this token in this room, for this identity: nothing else is told of it."""

    code = "gone"
    http_status = 410


@dataclass
class SessionMoved(UserError):
    """The session of this token goes on at another engine, which the client knows by its name."""

    engine: str
    resume: str

    code = "moved"
    http_status = 410

    def __str__(self) -> str:
        return f"the session has moved: resume it at {self.engine}"

    def to_wire(self) -> dict[str, Any]:
        """`{"error": "moved", "engine", "resume"}`."""
        return {"error": self.code, **asdict(self)}


class AlreadyClaimed(UserError):
    """An orphan was claimed before."""

    code = "claimed"
    http_status = 409


class NotMovable(UserError):
    """A session cannot go on at another engine, and goes on where it is."""

    code = "not_movable"
    http_status = 409


class Refused(EngineError):
    """Nothing is wrong with the request, but it cannot be served now."""

    code = "refused"
    http_status = 503
    retry_after_s = 3


@dataclass
class EngineFull(Refused):
    """Every seat is in a call or reserved for one."""

    seats: int
    in_calls: int
    reserved: int
    retry_after_s: int = 3

    code = "engine_full"

    def __str__(self) -> str:
        return (
            f"all {self.seats} seats are taken ({self.in_calls} in calls, {self.reserved} reserved): "
            f"try again in {self.retry_after_s} s, or give the engine more with --slots"
        )

    def to_wire(self) -> dict[str, Any]:
        """`{"error": "engine_full", "seats", "in_calls", "reserved", "retry_after_s"}`."""
        return {"error": self.code, **asdict(self)}


class NoTranscriber(EngineFull):
    """Every seat for transcriptions is taken."""

    def __str__(self) -> str:
        return (
            f"all {self.seats} seats for transcriptions are taken: try again in {self.retry_after_s} s, or "
            "give the engine more with --stt-sessions"
        )


class NoSpeaker(EngineFull):
    """Every seat for speech is taken."""

    def __str__(self) -> str:
        return (
            f"all {self.seats} seats for speech are taken: try again in {self.retry_after_s} s, or give the "
            "engine more with --tts-sessions"
        )


class EngineDraining(Refused):
    """The engine finishes its calls and goes down."""

    code = "draining"
    retry_after_s = 10

    def __str__(self) -> str:
        return "the engine is shutting down and takes no new calls: use another engine"


class TooManySessions(Refused):
    """Sessions are opened and ended so fast that the live ones would suffer."""

    code = "too_many_sessions"
    http_status = 429
    retry_after_s = 1

    def __str__(self) -> str:
        return "sessions are opened faster than this engine allows: wait a second"


@dataclass
class TooManyFromAddress(Refused):
    """One address has, or opens, more calls than one may."""

    most: int

    code = "too_many_from_address"
    http_status = 429
    retry_after_s = 10

    def __str__(self) -> str:
        return (
            f"your address has {self.most} calls already, or opened too many a moment ago: end one or wait, "
            "or give addresses more with ENGINE_CHAT_PER_ADDRESS"
        )


@dataclass
class LineFull(Refused):
    """Every seat is taken, and nobody else may wait for one."""

    waiting: int

    code = "line_full"
    retry_after_s = 30

    def __str__(self) -> str:
        return f"all seats are taken and {self.waiting} callers wait for one: try again in half a minute"


@dataclass
class WaitedTooLong(Refused):
    """No seat became free while a caller waited."""

    seconds: int

    code = "waited_too_long"
    retry_after_s = 30

    def __str__(self) -> str:
        return f"no seat became free within {self.seconds} s: call again later"


class EngineUnreachable(EngineError):
    """Nobody answers at the engine's address."""

    code = "unreachable"
    http_status = 502


def error_from_wire(body: Mapping[str, Any]) -> EngineError:
    """The error whose `to_wire` gave `body`; an unknown code becomes a plain EngineError."""
    code = body.get("error")
    if code == EngineFull.code:
        return EngineFull(*(int(body[name]) for name in ("seats", "in_calls", "reserved", "retry_after_s")))
    if code == SessionMoved.code:
        return SessionMoved(str(body["engine"]), str(body["resume"]))
    for refusal in (EngineDraining, TooManySessions):
        if refusal.code == code:
            return refusal()
    text = str(body.get("message", code))
    for kind in (
        Unauthorized,
        ForbiddenOrigin,
        SessionError,
        NotServed,
        SessionGone,
        AlreadyClaimed,
        NotMovable,
        SnapshotError,
        SettingError,
    ):
        if kind.code == code:
            return kind(text)
    return EngineError(text)
