"""What travels on `/v1/speech`: each message as a frozen dataclass with its wire form.

Client to engine: `Say` with text as it comes, `Flush`, `End`. Engine to client: `SpeechReady` first, then
`Sound` of 80 ms each as binary messages, `Word`, `Spoken`, `Failure`, `Ended`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from engine.errors import SessionError
from engine.json_messages import JsonMessage, parse_typed
from engine.protocol import (
    FRAME_BYTES,
    RANGES,
    End,
    Ended,
    Failure,
    Range,
    parse_number,
)
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE

SPEECH_PATH = "/v1/speech"
MAX_TEXT_CHARACTERS = 4000
"""Of one message. Longer text comes in several."""
MAX_UNSPOKEN_CHARACTERS = 20_000
"""How much may wait to be spoken: twenty minutes, about."""

_RANGES: dict[str, Range] = {
    "temperature": RANGES["temperature"],
    "seed": RANGES["seed"],
    "cfg": (float, 0.0, 10.0),
}
_PARAMETERS = (*_RANGES, "voice")


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """The query of a speech. None leaves it to the engine: its first voice, its own defaults, a random seed.

    cfg: how closely the voice is followed, one of those that the model was trained with.
    """

    voice: str | None = None
    temperature: float | None = None
    seed: int | None = None
    cfg: float | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Parse and check a query string. Raises SessionError that names the parameter and what it takes."""
        given: dict[str, Any] = {}
        for name, text in query.items():
            if name == "voice":
                given[name] = text
            elif name in _RANGES:
                given[name] = parse_number(name, text, _RANGES[name])
            else:
                near = get_close_matches(name, _PARAMETERS)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_PARAMETERS)}"
                raise SessionError(f"no parameter of speech is called {name!r}: {hint}")
        return cls(**given)

    def to_query(self) -> dict[str, str]:
        """The query string as a mapping, without what is None."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Say(JsonMessage):
    """Client: more text. Words may be cut anywhere: one is complete once a space follows it."""

    text: str = field(repr=False)
    type: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Flush(JsonMessage):
    """Client: what came until now is complete. It is spoken to its end without waiting for more."""

    type: ClassVar[str] = "flush"


@dataclass(frozen=True, slots=True)
class SpeechReady(JsonMessage):
    """Engine: send text. `voice`: "" for models that have none."""

    session: str
    model: str
    voice: str
    seed: int
    sample_rate: int = SAMPLE_RATE
    frame_samples: int = FRAME_SAMPLES
    type: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class Sound:
    """Engine: the next 80 ms, PCM s16le mono [FRAME_SAMPLES], as a binary message."""

    pcm: bytes = field(repr=False)

    def to_wire(self) -> bytes:
        """The binary message."""
        return self.pcm

    @classmethod
    def from_wire(cls, message: bytes) -> Self:
        """Raises SessionError if the length is wrong."""
        if len(message) != FRAME_BYTES:
            raise SessionError(f"a message of sound has {FRAME_BYTES} bytes, not {len(message)}")
        return cls(message)


@dataclass(frozen=True, slots=True)
class Word(JsonMessage):
    """Engine: a word that begins `start_s` seconds after the first sample, told before its sound comes."""

    text: str
    start_s: float
    type: ClassVar[str] = "word"


@dataclass(frozen=True, slots=True)
class Spoken(JsonMessage):
    """Engine: all that was flushed has been sent; its sound ends `end_s` seconds after the first sample."""

    end_s: float
    type: ClassVar[str] = "spoken"


SpeechMessage = Say | Flush | End
SpeechEvent = SpeechReady | Sound | Word | Spoken | Failure | Ended

_MESSAGES: dict[str, type[SpeechMessage]] = {kind.type: kind for kind in (Say, Flush, End)}
_EVENTS: dict[str, type[SpeechReady | Word | Spoken | Failure | Ended]] = {
    kind.type: kind for kind in (SpeechReady, Word, Spoken, Failure, Ended)
}


def parse_message(text: str) -> SpeechMessage:
    """A client's text message. Raises SessionError that says what was expected."""
    kind, body = parse_typed(text, _MESSAGES)
    message = kind(**body)
    if isinstance(message, Say):
        if not isinstance(message.text, str) or not _is_unicode(message.text):
            raise SessionError("the text of a text message is a string of whole Unicode characters")
        if len(message.text) > MAX_TEXT_CHARACTERS:
            raise SessionError(
                f"one message has {len(message.text)} characters of text: {MAX_TEXT_CHARACTERS} are the "
                "most; send several"
            )
    return message


def _is_unicode(text: str) -> bool:
    """JSON can spell halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def parse_event(message: str | bytes) -> SpeechEvent:
    """An engine's message, text or binary. Unknown fields are passed over. Raises SessionError."""
    if isinstance(message, bytes):
        return Sound.from_wire(message)
    kind, body = parse_typed(message, _EVENTS, strict=False)
    return kind(**body)
