"""What travels on `/v1/transcribe`: each message as a frozen dataclass with its wire form.

Client to engine: PCM s16le mono 24 kHz in pieces of any length, `Flush`, `End`. Engine to client:
`TranscriptReady` first, then `Word`, `WordEnd` and a `Turn` for every 80 ms heard, `Failure`, `Ended`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.json_messages import JsonMessage, parse_typed
from engine.protocol import End, Ended, Failure
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE

TRANSCRIBE_PATH = "/v1/transcribe"


@dataclass(frozen=True, slots=True)
class Flush(JsonMessage):
    """Client: the speaker has paused. What was said until now is told as if `delay_s` of silence had come."""

    type: ClassVar[str] = "flush"


@dataclass(frozen=True, slots=True)
class TranscriptReady(JsonMessage):
    """Engine: send sound. Words are told `delay_s` seconds after they were spoken; `heads`: how many `pauses`
    a `Turn` has.
    """

    session: str
    model: str
    delay_s: float
    heads: int
    sample_rate: int = SAMPLE_RATE
    frame_samples: int = FRAME_SAMPLES
    type: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class Word(JsonMessage):
    """Engine: a word that begins `start_s` seconds after the first sample."""

    text: str
    start_s: float
    type: ClassVar[str] = "word"


@dataclass(frozen=True, slots=True)
class WordEnd(JsonMessage):
    """Engine: the last word ends here, or the pause after it does: models say no more than where the next
    begins.
    """

    end_s: float
    type: ClassVar[str] = "word_end"


@dataclass(frozen=True, slots=True)
class Turn(JsonMessage):
    """Engine: a frame was heard, up to `heard_s`; the words that begin before `told_s` have been told.

    `pauses`: how likely, 0 to 1, the speaker has come to a pause, one for each head of the model, the
    patient ones last.
    """

    heard_s: float
    told_s: float
    pauses: tuple[float, ...] = ()
    type: ClassVar[str] = "turn"


TranscriptRequest = Flush | End
TranscriptEvent = TranscriptReady | Word | WordEnd | Turn | Failure | Ended

_REQUESTS: dict[str, type[TranscriptRequest]] = {kind.type: kind for kind in (Flush, End)}
_EVENTS: dict[str, type[TranscriptEvent]] = {
    kind.type: kind for kind in (TranscriptReady, Word, WordEnd, Turn, Failure, Ended)
}


def parse_request(text: str) -> TranscriptRequest:
    """A client's text message. Raises SessionError that says what was expected."""
    kind, body = parse_typed(text, _REQUESTS)
    return kind(**body)


def parse_event(text: str) -> TranscriptEvent:
    """An engine's text message. Unknown fields are passed over. Raises SessionError."""
    kind, body = parse_typed(text, _EVENTS, strict=False)
    event = kind(**body)
    return Turn(event.heard_s, event.told_s, tuple(event.pauses)) if isinstance(event, Turn) else event
