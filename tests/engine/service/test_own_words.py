"""Words that a session takes for its own: from a client's messages to the frames of its slot."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from engine.client import EngineSession
from engine.errors import SessionError
from engine.protocol import FRAME_BYTES, Audio, Event, Failure, OwnWords, SessionRequest, Text
from engine.service import own_words
from engine.service.own_words import WordTokens
from engine.service.places import Place
from engine.service.session import Owner, Session
from engine.step.frames import FRAME_S, Frame, SlotRef
from tests.engine.fake_clock import FakeClock
from tests.engine.service.conftest import RunningEngine, StartEngine

PAD, LAST_PAD = 3, 0
TOKENS = WordTokens(lambda text: [100 + len(word) for word in text.split()], PAD, LAST_PAD)


def sound(level: int) -> bytes:
    return np.full(1920, level, "<i2").tobytes()


class Call:
    """A session that nobody steps: its frames, as its slot would get them. Time passes while it hears."""

    def __init__(self, tokens: WordTokens | None = TOKENS) -> None:
        self.frames: list[Frame] = []
        self._clock = FakeClock()
        place, put = Place("s", SlotRef(0, 1)), self.frames.append
        self.session = Session(place, 1, Owner(), put, lambda _: "", self._clock, tokens=tokens)

    def hears(self, frames: float = 1) -> None:
        self._clock.now += frames * FRAME_S
        self.session.receive(bytes(2 * round(1920 * frames)))

    def said(self) -> Iterator[tuple[int, int] | None]:
        """The level and the token of each frame."""
        for frame in self.frames:
            yield (int(frame.own.pcm[0]), frame.own.text_token) if frame.own else None


def test_each_goes_with_the_next_frame_of_the_callers_that_has_none() -> None:
    call = Call()
    call.hears()
    call.session.say(sound(1), "")
    call.hears(0.5)
    call.session.say(sound(2), "")
    assert len(call.frames) == 1, "half a frame is none"
    call.hears(1.5)
    call.hears()
    assert list(call.said()) == [None, (1, PAD), (2, PAD), None]


def test_a_token_a_frame_and_before_a_word_the_last_of_the_padding() -> None:
    call = Call()
    for level, text in enumerate(["", "a fine", "", "", "day", "", "", " "]):
        call.session.say(sound(level), text)
        call.hears()
    tokens = [own[1] for own in call.said() if own]
    assert tokens == [PAD, LAST_PAD, 101, 104, 103, PAD, PAD, PAD]


def test_what_was_not_said_when_the_sound_ended_is_forgotten() -> None:
    call = Call()
    call.session.say(sound(1), "a long answer that was interrupted")
    call.hears(2)
    call.session.say(sound(2), "yes")
    call.session.say(sound(3), "")
    call.hears(2)
    assert list(call.said()) == [(1, LAST_PAD), None, (2, LAST_PAD), (3, 103)]


@pytest.mark.parametrize("away", [Session.pause, lambda session: session.disconnect("hang_up")])
def test_a_caller_who_is_away_is_told_nothing_that_waits(away: object) -> None:
    call = Call()
    call.session.say(sound(1), "hello")
    assert callable(away)
    away(call.session)
    call.session.connect()
    call.hears()
    assert list(call.said()) == [None]


def test_while_a_session_moves_its_words_wait_with_its_sound() -> None:
    call = Call()
    call.session.frozen = True
    for level in range(200):
        call.session.say(sound(level), "")
        call.hears()
    call.session.thaw()
    assert list(call.said()) == [(level, PAD) for level in range(200)]


def test_words_that_run_ahead_of_the_caller_are_an_error() -> None:
    call = Call()
    for _ in range(own_words._MOST_FRAMES):
        call.session.say(sound(1), "")
    with pytest.raises(SessionError, match=r"10 s ahead of the caller's sound"):
        call.session.say(sound(1), "")
    with pytest.raises(SessionError, match="each takes a frame"):
        Call().session.say(sound(1), "a " * (own_words._MOST_TOKENS + 1))


def test_a_model_that_takes_none_says_so() -> None:
    with pytest.raises(SessionError, match="where ready says"):
        Call(tokens=None).session.say(sound(1), "")


async def answers(session: EngineSession, count: int) -> list[Event]:
    """All events up to the answer to frame `count` - 1, and the word with it."""
    events: list[Event] = []
    async with asyncio.timeout(60):
        async for event in session:
            events.append(event)
            if isinstance(event, Audio) and event.frame == count - 1:
                break
    return events


async def test_a_client_hears_silence_and_no_word_of_what_it_has_given(start_engine: StartEngine) -> None:
    # The fake answers each frame with itself, and says a word with its second and third.
    async with start_engine(words=TOKENS) as engine:
        assert (await engine.client.model()).own_words
        session = await engine.client.open(SessionRequest())
        assert session.ready.own_words
        for number in range(4):
            if number == 1:
                await session.say(OwnWords(sound(5), "hear"))
            await session.send(sound(7 + number))
            events = await answers(session, number + 1)
            (audio,) = [event for event in events if isinstance(event, Audio)]
            assert audio.pcm == (bytes(FRAME_BYTES) if number == 1 else sound(7 + number))
            assert number == 3 or not [event for event in events if isinstance(event, Text)]
        given = [frame for frame in engine.runner.owned if frame]
        assert [(frame.pcm.tobytes(), frame.text_token) for frame in given] == [(sound(5), LAST_PAD)]


async def test_words_that_a_model_cannot_take_end_their_session_alone(engine: RunningEngine) -> None:
    assert not (await engine.client.model()).own_words
    other = await engine.client.open(SessionRequest())
    session = await engine.client.open(SessionRequest())
    assert not session.ready.own_words
    await session.say(OwnWords(sound(1)))
    async with asyncio.timeout(60):
        events = [event async for event in session]
    failure = events[0]
    assert isinstance(failure, Failure)
    assert (failure.code, "no words" in failure.message) == ("bad_session", True)
    await other.send(sound(1))
    assert await answers(other, 1)
