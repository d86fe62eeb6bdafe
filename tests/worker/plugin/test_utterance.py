"""When somebody has finished, and what is told then."""

import pytest
from livekit.agents.language import LanguageCode
from livekit.agents.stt import SpeechEvent, SpeechEventType

from engine.errors import EngineDraining, EngineError, EngineUnreachable
from engine.protocol import Ended, Failure
from engine.transcript_protocol import TranscriptEvent, Turn, Word, WordEnd
from worker.plugin.utterance import Patience, Utterance

START, END = SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH
INTERIM, FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT


def utterance(offset_s: float = 0.0) -> Utterance:
    return Utterance(Patience(0.5, 2, 1.0), LanguageCode("en"), offset_s, "request")


def texts(events: list[SpeechEvent]) -> list[tuple[SpeechEventType, str]]:
    return [(event.type, event.alternatives[0].text if event.alternatives else "") for event in events]


def pause(heard_s: float, told_s: float, probability: float = 0.9) -> Turn:
    return Turn(heard_s, told_s, (0.0, 0.0, probability, 0.0))


def test_the_first_word_begins_an_utterance_and_each_further_one_is_interim() -> None:
    spoken = utterance()
    assert texts(spoken.word(Word("hello", 0.2))) == [(START, ""), (INTERIM, "hello")]
    assert texts(spoken.word(Word("there", 0.7))) == [(INTERIM, "hello there")]


def test_a_pause_ends_it_once_all_that_was_said_before_is_known() -> None:
    spoken = utterance()
    spoken.word(Word("hello", 0.2))
    assert spoken.turn(pause(1.0, 0.5)) == []
    assert spoken.is_due
    spoken.word(Word("there", 0.7))
    assert spoken.turn(pause(1.2, 0.9, 0.1)) == []
    assert texts(spoken.turn(pause(1.4, 1.0, 0.1))) == [(FINAL, "hello there"), (END, "")]
    assert not spoken.is_due
    assert texts(spoken.word(Word("again", 2.0))) == [(START, ""), (INTERIM, "again")]


def test_a_pause_in_which_nothing_was_said_ends_nothing() -> None:
    spoken = utterance()
    assert spoken.turn(pause(1.0, 0.5)) == []
    assert not spoken.is_due
    assert spoken.turn(pause(9.0, 8.5, 0.9)) == []


def test_a_less_likely_pause_or_one_by_another_head_is_none() -> None:
    spoken = utterance()
    spoken.word(Word("hello", 0.2))
    assert spoken.turn(Turn(1.0, 0.5, (0.9, 0.9, 0.4, 0.9))) == []
    assert not spoken.is_due


def test_without_heads_a_second_without_a_word_ends_it() -> None:
    spoken = utterance()
    spoken.word(Word("hello", 0.2))
    assert spoken.turn(Turn(3.6, 1.1)) == []
    assert spoken.turn(Turn(3.7, 1.25)) == []
    assert texts(spoken.turn(Turn(6.0, 3.7))) == [(FINAL, "hello"), (END, "")]


def test_a_pause_that_the_heads_have_missed_is_one_in_the_end() -> None:
    spoken = utterance()
    spoken.word(Word("hello", 0.2))
    assert spoken.turn(pause(3.6, 3.1, 0.1)) == []
    assert not spoken.is_due
    assert spoken.turn(pause(3.8, 3.3, 0.1)) == []
    assert texts(spoken.turn(pause(4.3, 3.8, 0.1))) == [(FINAL, "hello"), (END, "")]


def test_whoever_knows_of_the_end_otherwise_says_so() -> None:
    spoken = utterance()
    spoken.word(Word("hello", 0.2))
    spoken.end_at(0.8)
    assert spoken.turn(Turn(1.0, 0.7)) == []
    assert texts(spoken.turn(Turn(1.0, 0.8))) == [(FINAL, "hello"), (END, "")]


def test_nothing_said_is_nothing_told_at_the_end() -> None:
    spoken = utterance()
    spoken.end_at(1.0)
    assert spoken.turn(Turn(1.0, 1.0)) == []
    assert spoken.finish() == []


@pytest.mark.parametrize(
    ("end_s", "told_s"), [(0.55, 10.55), (4.0, 11.2)], ids=["at the next", "after a pause"]
)
def test_words_have_times_which_begin_with_the_stream(end_s: float, told_s: float) -> None:
    spoken = utterance(offset_s=10.0)
    spoken.word(Word("hello", 0.2))
    spoken.word_end(WordEnd(end_s))
    final, _ = spoken.finish()
    data = final.alternatives[0]
    assert (data.start_time, data.end_time) == pytest.approx((10.2, told_s))
    assert data.words is not None
    (word,) = data.words
    assert str(word) == "hello"
    assert (word.start_time, word.end_time, word.start_time_offset) == pytest.approx((10.2, told_s, 10.0))


async def test_the_engine_is_asked_for_the_rest_once_as_soon_as_somebody_has_finished() -> None:
    spoken, asked = utterance(), []

    async def flush() -> None:
        asked.append(len(told))

    told: list[tuple[SpeechEventType, str]] = []
    events: list[TranscriptEvent] = [Word("hello", 0.2), Turn(0.5, 0.0), pause(1.0, 0.5), pause(1.1, 0.6)]
    for event in (*events, WordEnd(0.6), Turn(1.2, 1.0), Word("again", 2.0), Ended("hang_up")):
        told += texts(await spoken.hear(event, flush))
    assert asked == [2]
    assert told == [
        *((START, ""), (INTERIM, "hello"), (FINAL, "hello"), (END, "")),
        *((START, ""), (INTERIM, "again"), (FINAL, "again"), (END, "")),
    ]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Ended("drain"), EngineUnreachable),
        (Failure("draining", "no more calls"), EngineDraining),
        (Failure("internal", "a step failed"), EngineError),
    ],
)
async def test_what_the_engine_ends_by_itself_is_an_error(
    event: TranscriptEvent, error: type[EngineError]
) -> None:
    async def flush() -> None: ...

    with pytest.raises(error) as raised:
        await utterance().hear(event, flush)
    assert type(raised.value) is error
