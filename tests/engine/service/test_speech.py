"""What one client may send to be spoken, and what it hears of it."""

from collections.abc import Iterator

import numpy as np
import pytest

from engine.errors import SessionError
from engine.protocol import End, Ended
from engine.service.speech import Speech
from engine.speech_protocol import (
    MAX_UNSPOKEN_CHARACTERS,
    Flush,
    Say,
    Sound,
    SpeechEvent,
    SpeechRequest,
    Spoken,
    Word,
    parse_message,
)
from engine.step.frames import Sampling, SlotRef
from engine.step.speech_loop import SpokenFrame
from engine.step.speech_queue import Begin, More, Order, Whole
from engine.step.tts_runner import SpokenWord, TtsFrame
from tests.engine.fake_clock import FakeClock

SLOT = SlotRef(0, 1)
BEGIN = Begin(SLOT, None, Sampling(), None)


class Spoken80Ms:
    """A speech, what it asked of the model, and what it told its client."""

    def __init__(self) -> None:
        self.clock = FakeClock(1.0)
        self.orders: list[Order] = []
        self.speech = Speech("speech", BEGIN, self.orders.append, self.clock)

    def frame(self, *words: str, done: bool = False, start_s: float = 0.0) -> tuple[bool, float | None]:
        spoken = tuple(SpokenWord(word, start_s) for word in words)
        frame = TtsFrame(np.zeros(1920, np.int16), spoken, done)
        return self.speech.answer(SpokenFrame(SLOT, frame, self.clock()))

    def told(self) -> Iterator[SpeechEvent]:
        while not self.speech.events.empty():
            yield self.speech.events.get_nowait()


@pytest.fixture
def to() -> Spoken80Ms:
    return Spoken80Ms()


def test_text_that_comes_after_a_flush_waits_until_what_was_flushed_is_spoken(to: Spoken80Ms) -> None:
    for message in (Say("good "), Flush(), Say("mor"), Say("ning"), End(), Say("lost")):
        assert not to.speech.receive(message)
    assert to.orders == [BEGIN, More(SLOT, "good "), Whole(SLOT)]
    assert to.frame("good") == (False, 0.0)
    assert to.frame(done=True) == (False, None)
    assert to.orders[3:] == [BEGIN, More(SLOT, "morning"), Whole(SLOT)]
    assert to.frame("morning", start_s=0.02, done=True) == (True, 0.0)
    to.speech.end("hang_up")
    told = [event for event in to.told() if not isinstance(event, Sound)]
    # The second stretch begins where the first one ended.
    assert told == [Word("good", 0.0), Spoken(0.16), Word("morning", 0.18), Ended("hang_up")]


def test_how_long_the_first_sound_took_is_told_for_each_stretch(to: Spoken80Ms) -> None:
    to.speech.receive(Say("one "))
    to.speech.receive(Flush())
    to.clock.now += 0.5
    assert to.frame("one", done=True) == (False, 0.5)
    to.clock.now += 10
    to.speech.receive(Say("two "))
    to.clock.now += 0.25
    assert to.frame("two") == (False, 0.25)


def test_where_nothing_is_to_be_said_a_flush_and_the_end_are_answered_at_once(to: Spoken80Ms) -> None:
    assert not to.speech.receive(Say(" \n "))
    assert not to.speech.receive(Flush())
    assert list(to.told()) == [Spoken(0.0)]
    assert to.speech.receive(End())
    assert to.orders == []


def test_a_flush_for_which_nothing_came_is_answered_in_its_turn(to: Spoken80Ms) -> None:
    for message in (Say("one"), Flush(), Flush(), End()):
        to.speech.receive(message)
    assert to.frame("one", done=True) == (True, 0.0)
    assert [event for event in to.told() if isinstance(event, Spoken)] == [Spoken(0.08), Spoken(0.08)]


def test_what_waits_to_be_spoken_is_bounded_and_what_was_spoken_makes_room(to: Spoken80Ms) -> None:
    for _ in range(MAX_UNSPOKEN_CHARACTERS // 2000):
        to.speech.receive(Say("(word): " * 500))
    for _ in range(2):
        to.frame("word")
    to.speech.receive(Say("eightmor : "))
    with pytest.raises(SessionError, match="20000 characters wait to be spoken"):
        to.speech.receive(Say("x"))


def test_who_does_not_read_is_stopped_after_half_a_minute(to: Spoken80Ms) -> None:
    to.speech.receive(Say("word "))
    for _ in range(376):
        to.frame()
    with pytest.raises(SessionError, match="does not read its speech"):
        to.frame()


def test_messages_come_no_faster_than_people_and_models_write(to: Spoken80Ms) -> None:
    for _ in range(2500):
        to.speech.count_message()
    with pytest.raises(SessionError, match="250 messages a second"):
        to.speech.count_message()
    to.clock.now += 1.0
    to.speech.count_message()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{}", "one of these types: text, flush, end"),
        ('{"type": "text"}', "a text message has the fields text"),
        ('{"type": "text", "text": 1}', "string of whole Unicode characters"),
        (r'{"type": "text", "text": "\ud83d"}', "string of whole Unicode characters"),
        ('{"type": "text", "text": "' + "x" * 4001 + '"}', "4001 characters of text: 4000 are the most"),
        ('{"type": "end", "x": 1}', "a end message has"),
    ],
)
def test_a_message_that_is_none_says_what_was_expected(message: str, said: str) -> None:
    with pytest.raises(SessionError, match=said):
        parse_message(message)


def test_whole_characters_of_any_script_are_text() -> None:
    assert parse_message(Say("héllo 😀 你好").to_wire()) == Say("héllo 😀 你好")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"temperature": "hot"}, "temperature='hot' is not a number from 0 to 10"),
        ({"cfg": "nan"}, "cfg='nan' is not a number"),
        ({"seed": "-1"}, "seed='-1' is not a whole number"),
        ({"voise": "ann"}, "did you mean voice"),
        ({"prompt": "be kind"}, "known: temperature, seed, cfg, voice"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(query: dict[str, str], said: str) -> None:
    with pytest.raises(SessionError, match=said):
        SpeechRequest.from_query(query)


def test_a_request_comes_back_from_its_query() -> None:
    asked = SpeechRequest("a voice/with any.name", 0.5, 7, 1.5)
    assert SpeechRequest.from_query(asked.to_query()) == asked
    assert SpeechRequest().to_query() == {}
