"""What travels on `/v1/session`: each message as a frozen dataclass with its wire form.

Binary messages carry sound, text messages carry JSON. Client to engine: PCM s16le mono 24 kHz in pieces of
any length, `OwnWords`, `Pause`, `End`, `Report`. Engine to client: `Ready` first, then one `Audio` for every
80 ms received, `Text`, `Moved`, `Failure`, `Ended`.
"""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Self
from urllib.parse import quote, unquote

from engine.errors import SessionError
from engine.json_messages import JsonMessage, parse_typed
from engine.peers import is_peer_name
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE, Sampling

SESSION_PATH = "/v1/session"
SEATS_PATH = "/v1/seats"
MODEL_PATH = "/v1/model"
RESUME_HEADER = "Moshi-Resume"
ROOM_HEADER = "Moshi-Room"
IDENTITY_HEADER = "Moshi-Identity"
FOLLOWS_HEADER = "Moshi-Follows"
FRAME_BYTES = 2 * FRAME_SAMPLES
MAX_MESSAGE_BYTES = 256 * 1024
MAX_PROMPT_CHARACTERS = 4000
MAX_OWN_CHARACTERS = 1000
_AUDIO_HEADER = struct.Struct("<IIII")

Range = tuple[type[int] | type[float], float, float]
"""Of a parameter: (type, least, most)."""
RANGES: dict[str, Range] = {
    "temperature": (float, 0.0, 10.0),
    "top_k": (int, 1, 1 << 20),
    "temperature_text": (float, 0.0, 10.0),
    "top_k_text": (int, 1, 1 << 20),
    "seed": (int, 0, (1 << 32) - 1),
}
_OTHER_PARAMETERS = ("seat", "voice", "prompt")
_PARAMETERS = (*RANGES, *_OTHER_PARAMETERS)
SAMPLING_PARAMETERS = tuple(RANGES)
_MOST_NAME_CHARACTERS = 512
_MOST_FOLLOWED = 64


def check_prompt(name: str, text: str) -> None:
    """Raise SessionError for a prompt that is too long, which the query calls `name`."""
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise SessionError(
            f"{name} has {len(text)} characters: {MAX_PROMPT_CHARACTERS} are the most; shorten it"
        )


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """The query of a session, and whose it is. None leaves it to the engine: its own defaults, a random seed.

    `room` and `identity` travel as headers, for URLs are logged: a lost session comes back to nobody else.
    `follows`: names of the other engines to which the client follows its session.
    """

    temperature: float | None = None
    top_k: int | None = None
    temperature_text: float | None = None
    top_k_text: int | None = None
    seed: int | None = None
    seat: str | None = None
    voice: str | None = None
    prompt: str | None = None
    room: str | None = None
    identity: str | None = None
    follows: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, query: Mapping[str, str], headers: Mapping[str, str]) -> Self:
        """Parse and check both. Raises SessionError that says what is wrong."""
        room, identity = (_parse_name(name, headers.get(name)) for name in (ROOM_HEADER, IDENTITY_HEADER))
        follows = _parse_follows(headers.get(FOLLOWS_HEADER, ""))
        return replace(cls.from_query(query), room=room, identity=identity, follows=follows)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Parse and check a query string. Raises SessionError that names the parameter and what it takes."""
        given: dict[str, Any] = {}
        for name, text in query.items():
            if name == "prompt":
                check_prompt(name, text)
            if name in _OTHER_PARAMETERS:
                given[name] = text
            elif name in RANGES:
                given[name] = parse_number(name, text, RANGES[name])
            else:
                near = get_close_matches(name, _PARAMETERS)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_PARAMETERS)}"
                raise SessionError(f"no session parameter is called {name!r}: {hint}")
        return cls(**given)

    def to_query(self) -> dict[str, str]:
        """The query string as a mapping, without what is None."""
        given = {name: getattr(self, name) for name in _PARAMETERS}
        return {name: str(value) for name, value in given.items() if value is not None}

    def to_headers(self) -> dict[str, str]:
        """The headers, without what is None."""
        given = {ROOM_HEADER: self.room, IDENTITY_HEADER: self.identity}
        named = {name: quote(value, safe="") for name, value in given.items() if value is not None}
        return named | ({FOLLOWS_HEADER: ",".join(self.follows)} if self.follows else {})

    def sampling(self, defaults: Sampling) -> Sampling:
        """`defaults` with every parameter that the request names."""
        named = {name: getattr(self, name) for name in RANGES}
        return Sampling(
            **{name: getattr(defaults, name) if value is None else value for name, value in named.items()}
        )


def parse_number(name: str, text: str, allowed: Range) -> float | int:
    """The parameter `name` of a query. Raises SessionError that says what it takes."""
    kind, least, most = allowed
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise SessionError(f"{name}={text!r} is not {what} from {least:g} to {most:g}")
    return value


def _parse_name(header: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        name = unquote(text, errors="strict")
    except ValueError:
        name = ""
    if not 0 < len(name) <= _MOST_NAME_CHARACTERS:
        raise SessionError(
            f"{header} is a name of 1 to {_MOST_NAME_CHARACTERS} characters in UTF-8, percent-encoded"
        )
    return name


def _parse_follows(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if len(names) > _MOST_FOLLOWED or not all(map(is_peer_name, names)):
        raise SessionError(
            f"{FOLLOWS_HEADER} is at most {_MOST_FOLLOWED} names of engines, separated by commas"
        )
    return names


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What an engine serves. `settings` are the parameters of a session that this model takes; `transcribes`:
    the model that writes down what is said, None if there is none; `voices`: the names that `voice` takes;
    `speaks`: the model that speaks texts, None if there is none; `speech_voices`: those of that model;
    `own_words`: whether its sessions take `OwnWords`.
    """

    model: str
    model_delay_ms: int
    settings: tuple[str, ...] = SAMPLING_PARAMETERS
    transcribes: str | None = None
    voices: tuple[str, ...] = ()
    speaks: str | None = None
    speech_voices: tuple[str, ...] = ()
    own_words: bool = False

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Self:
        """The card of a JSON answer. Raises KeyError, TypeError."""
        settings, voices, speech_voices = (
            tuple(map(str, names))
            for names in (body["settings"], body.get("voices", ()), body.get("speech_voices", ()))
        )
        beside = body.get("transcribes"), voices, body.get("speaks"), speech_voices
        own_words = bool(body.get("own_words", False))
        return cls(str(body["model"]), int(body["model_delay_ms"]), settings, *beside, own_words)


@dataclass(frozen=True, slots=True)
class End(JsonMessage):
    """Client: hang up. The seat is free at once."""

    type: ClassVar[str] = "end"


@dataclass(frozen=True, slots=True)
class Pause(JsonMessage):
    """Client: the caller is away. The seat may go to another; the first sound that comes takes one again."""

    type: ClassVar[str] = "pause"


@dataclass(frozen=True, slots=True)
class Report(JsonMessage):
    """Client: what became of the answer to input frame `frame`, in microseconds.

    `worker_us`: frame arrived -> its answer handed to the track; `playout_us`: queued in the track then;
    `jitter_us`: delay of the caller's jitter buffer, None while it is not known. The others count what
    went wrong with the sound since the report before: answers that came after the track had run dry; frames
    of the caller that came too late to be sent, and silence that was sent where none came; what the caller's
    jitter buffer made up for lost packets.
    """

    frame: int
    worker_us: int
    playout_us: int
    jitter_us: int | None = None
    underruns: int = 0
    late_frames: int = 0
    silent_frames: int = 0
    concealed_us: int = 0
    type: ClassVar[str] = "report"


@dataclass(frozen=True, slots=True)
class OwnWords(JsonMessage):
    """Client: what the model is to take for its own words in the next frame that has none yet.

    `sound` is PCM s16le mono [FRAME_SAMPLES], base64 on the wire; `text`: the words that begin about then.
    """

    sound: bytes = field(repr=False)
    text: str = field(default="", repr=False)
    type: ClassVar[str] = "own_words"

    def to_wire(self) -> str:
        """The text message."""
        sound = b64encode(self.sound).decode()
        return json.dumps({"type": self.type, "sound": sound, "text": self.text})

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Of the fields of a message. Raises SessionError that says what they take."""
        sound, text = body["sound"], body.get("text", "")
        try:
            pcm = b64decode(sound, validate=True) if isinstance(sound, str) else b""
        except ValueError:
            pcm = b""
        if len(pcm) != FRAME_BYTES:
            raise SessionError(
                f"own_words.sound is one frame of PCM s16le mono 24 kHz, {FRAME_BYTES} bytes, in base64"
            )
        if not isinstance(text, str) or len(text) > MAX_OWN_CHARACTERS:
            raise SessionError(
                f"own_words.text is the words of one frame: a text of at most {MAX_OWN_CHARACTERS} characters"
            )
        return cls(pcm, text)


@dataclass(frozen=True, slots=True)
class Ready(JsonMessage):
    """Engine: the session is open, or goes on.

    `frame`: the number of the first frame that is sent now. `resume`: what opens the session again when the
    connection was lost, within `grace_s` seconds; empty and 0: a lost session is over. `own_words`: whether
    the session takes `OwnWords`.
    """

    session: str
    model: str
    seed: int
    model_delay_ms: int
    sample_rate: int = SAMPLE_RATE
    frame_samples: int = FRAME_SAMPLES
    resume: str = field(default="", repr=False)
    grace_s: float = 0.0
    frame: int = 0
    own_words: bool = False
    type: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class Text(JsonMessage):
    """Engine: a piece of the model's own words, said with the answer to input frame `frame`."""

    frame: int
    piece: str
    type: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Moved(JsonMessage):
    """Engine: the session goes on at another engine, of those that the client said it follows to.

    `engine` is its name, `resume` opens the session there, `frame` is the number of the first frame that it
    is to hear there: what was sent of that one and after it was not heard. `Ended` follows.
    """

    engine: str
    resume: str = field(repr=False)
    frame: int
    type: ClassVar[str] = "moved"


@dataclass(frozen=True, slots=True)
class Failure(JsonMessage):
    """Engine: the session cannot go on; `Ended` follows."""

    code: str
    message: str
    type: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Ended(JsonMessage):
    """Engine: the last message of a connection.

    The session is over where `reason` is hang_up, error or drain. taken_over: it goes on over another
    connection; moved: at another engine; held: no seat was free for its caller's return, and it can still be
    resumed.
    """

    reason: str
    type: ClassVar[str] = "ended"


@dataclass(frozen=True, slots=True)
class Audio:
    """Engine: the 80 ms that answer input frame `frame`, as PCM s16le mono [FRAME_SAMPLES].

    16 bytes little endian (frame, queue_us, step_us, flags = 0), then the samples. `queue_us`: from the
    complete frame to the begin of its step; `step_us`: the step.
    """

    frame: int
    queue_us: int
    step_us: int
    pcm: bytes = field(repr=False)

    def to_wire(self) -> bytes:
        """The binary message."""
        return _AUDIO_HEADER.pack(self.frame, self.queue_us, self.step_us, 0) + self.pcm

    @classmethod
    def from_wire(cls, message: bytes) -> Self:
        """Raises SessionError if the length is wrong."""
        if len(message) != _AUDIO_HEADER.size + FRAME_BYTES:
            raise SessionError(
                f"an audio message has {_AUDIO_HEADER.size + FRAME_BYTES} bytes, not {len(message)}"
            )
        frame, queue_us, step_us, _flags = _AUDIO_HEADER.unpack_from(message)
        return cls(frame, queue_us, step_us, message[_AUDIO_HEADER.size :])


ClientMessage = End | Pause | Report | OwnWords
EngineMessage = Ready | Text | Moved | Failure | Ended
Event = EngineMessage | Audio

_CLIENT_MESSAGES: dict[str, type[ClientMessage]] = {
    kind.type: kind for kind in (End, Pause, Report, OwnWords)
}
_ENGINE_MESSAGES: dict[str, type[EngineMessage]] = {
    kind.type: kind for kind in (Ready, Text, Moved, Failure, Ended)
}


def parse_client_message(text: str) -> ClientMessage:
    """A client's text message. Raises SessionError that says what was expected."""
    kind, body = parse_typed(text, _CLIENT_MESSAGES)
    if kind is OwnWords:
        return OwnWords.from_body(body)
    for name, value in body.items():
        if value is None and name == "jitter_us":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
            raise SessionError(f"{kind.type}.{name} is {value!r}: expected a whole number from 0 to 2^32 - 1")
    return kind(**body)


def parse_engine_message(text: str) -> EngineMessage:
    """An engine's text message. Unknown fields are passed over. Raises SessionError."""
    kind, body = parse_typed(text, _ENGINE_MESSAGES, strict=False)
    return kind(**body)
