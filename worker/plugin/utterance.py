"""From words and pauses to what a framework calls speech events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from livekit.agents import stt
from livekit.agents.language import LanguageCode
from livekit.agents.types import TimedString

from engine.errors import EngineUnreachable, error_from_wire
from engine.protocol import Ended, Failure
from engine.transcript_protocol import TranscriptEvent, Turn, Word, WordEnd

HANG_UP = "hang_up"
"""How the engine ends what it has written down to the end."""
LONGEST_LAST_WORD_S = 1.0
_MISSED = 3.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When somebody has finished.

    probability: of a pause, by the model's head number `head`, from 0 to 1; silence_s: without a word, where
    the model has no such heads. Where it has, three times as long: a pause that they missed is one, too.
    """

    probability: float = 0.5
    head: int = 2
    silence_s: float = 1.0


@dataclass(slots=True)
class _Heard:
    text: str
    start_s: float
    end_s: float | None = None


@dataclass(slots=True)
class Utterance:
    """What somebody says until they pause: events of an engine in, events of the framework out.

    offset_s: added to the engine's times; request: an id of the stream, on each event.
    """

    patience: Patience
    language: LanguageCode
    offset_s: float = 0.0
    request: str = ""
    _words: list[_Heard] = field(default_factory=list)
    _due_s: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether it ends as soon as all of it is known."""
        return self._due_s is not None

    async def hear(
        self, event: TranscriptEvent, flush: Callable[[], Awaitable[None]]
    ) -> list[stt.SpeechEvent]:
        """What the framework is told of an event. flush: asks the engine for all that it has heard, which is
        done as soon as somebody has finished.

        Raises EngineUnreachable for a transcription that ends before its sound does, and what a Failure says.
        """
        match event:
            case Word():
                return self.word(event)
            case WordEnd():
                self.word_end(event)
            case Turn():
                was_due = self.is_due
                told = self.turn(event)
                if self.is_due and not was_due:
                    await flush()
                return told
            case Failure():
                raise error_from_wire({"error": event.code, "message": event.message})
            case Ended() if event.reason != HANG_UP:
                raise EngineUnreachable(f"the engine ended the transcription: {event.reason}")
            case Ended():
                return self.finish()
        return []

    def word(self, word: Word) -> list[stt.SpeechEvent]:
        """A word begins the utterance, or goes on with it."""
        begins = not self._words
        self._words.append(_Heard(word.text, word.start_s))
        told = [self._event(stt.SpeechEventType.INTERIM_TRANSCRIPT)]
        return [self._event(stt.SpeechEventType.START_OF_SPEECH), *told] if begins else told

    def word_end(self, end: WordEnd) -> None:
        """The last word ended."""
        if self._words:
            self._words[-1].end_s = end.end_s

    def turn(self, turn: Turn) -> list[stt.SpeechEvent]:
        """A frame was heard: it may show a pause, or be the last that was waited for."""
        if self._words and self._due_s is None and self._is_pause(turn):
            self._due_s = turn.heard_s
        if self._due_s is not None and turn.told_s >= self._due_s:
            return self.finish()
        return []

    def end_at(self, heard_s: float) -> None:
        """Somebody else knows that the speaker has finished, with the sound up to `heard_s`."""
        if self._due_s is None:
            self._due_s = heard_s

    def finish(self) -> list[stt.SpeechEvent]:
        """All that was said is known."""
        self._due_s = None
        if not self._words:
            return []
        final = self._event(stt.SpeechEventType.FINAL_TRANSCRIPT)
        self._words.clear()
        return [final, stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH, self.request)]

    def _is_pause(self, turn: Turn) -> bool:
        silence_s = turn.told_s - self._words[-1].start_s
        if not turn.pauses:
            return silence_s >= self.patience.silence_s
        head = min(self.patience.head, len(turn.pauses) - 1)
        is_seen = turn.pauses[head] >= self.patience.probability
        return is_seen or silence_s >= _MISSED * self.patience.silence_s

    def _event(self, kind: stt.SpeechEventType) -> stt.SpeechEvent:
        if kind is stt.SpeechEventType.START_OF_SPEECH:
            return stt.SpeechEvent(kind, self.request)
        words = [self._timed(word) for word in self._words]
        data = stt.SpeechData(
            language=self.language,
            text=" ".join(word.text for word in self._words),
            start_time=self.offset_s + self._words[0].start_s,
            end_time=self.offset_s + _end_s(self._words[-1]),
            words=words,
        )
        return stt.SpeechEvent(kind, self.request, [data])

    def _timed(self, word: _Heard) -> TimedString:
        return TimedString(
            word.text,
            start_time=self.offset_s + word.start_s,
            end_time=self.offset_s + _end_s(word),
            start_time_offset=self.offset_s,
        )


def _end_s(word: _Heard) -> float:
    """Where it ends as far as is known: a boundary after a pause says no more than where the pause ends."""
    latest_s = word.start_s + LONGEST_LAST_WORD_S
    return latest_s if word.end_s is None else min(word.end_s, latest_s)
