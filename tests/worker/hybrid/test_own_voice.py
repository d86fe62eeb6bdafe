"""What Moshi is told that it says while an answer is heard, in time that only the test lets pass."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.protocol import OwnWords
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.hybrid.conductor import PIECE_S, PIECE_SAMPLES, Conductor
from worker.hybrid.floor import DUCKED
from worker.hybrid.own_voice import LEAD, MOST_BEHIND, OwnVoice


def numbered(seconds: float) -> NDArray[np.int16]:
    """Samples that tell where they are from, none of them silence."""
    return np.arange(1, 1 + round(seconds * SAMPLE_RATE), dtype=np.int16)


@dataclass
class Call:
    """The track takes a piece every 20 ms, and the engine a frame of the caller's every 80 ms."""

    late: int = 0
    conductor: Conductor = field(default_factory=Conductor)
    pieces: int = 0
    heard: list[NDArray[np.int16]] = field(default_factory=list)
    said: list[OwnWords | None] = field(default_factory=list)

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / PIECE_S)):
            piece = self.conductor.take(self.pieces * PIECE_S)
            self.heard.append(np.frombuffer(piece.pcm, "<i2") if piece else np.zeros(PIECE_SAMPLES, np.int16))
            if self.conductor.answer_is_over:
                self.conductor.close_answer()
            self.pieces += 1
            if self.pieces % 4 == self.late:
                self.said.append(self.conductor.own_voice.take())

    def answers(self, pcm: NDArray[np.int16]) -> None:
        self.conductor.answer(pcm)
        self.conductor.end_answer()

    @property
    def own(self) -> NDArray[np.int16]:
        """All that Moshi was told to say."""
        frames = [np.frombuffer(words.sound, "<i2") for words in self.said if words]
        assert all(len(frame) == FRAME_SAMPLES for frame in frames)
        return np.concatenate([np.zeros(0, np.int16), *frames])


@pytest.mark.parametrize("late", range(4))
@pytest.mark.parametrize("seconds", [0.013, 0.08, 1.0, 1.234])
def test_all_that_is_heard_of_an_answer_is_said_without_a_gap(late: int, seconds: float) -> None:
    call = Call(late)
    call.passes(0.4)
    assert not any(call.said), "Moshi says what it likes"
    call.answers(numbered(seconds))
    call.passes(2.0)
    heard = np.concatenate(call.heard)
    assert np.array_equal(np.trim_zeros(call.own), np.trim_zeros(heard))
    assert np.array_equal(np.trim_zeros(heard), numbered(seconds))
    assert call.said[-1] is None, "and then what it likes again"


def test_it_is_said_as_soon_as_it_is_heard() -> None:
    call = Call()
    call.answers(numbered(1.0))
    call.passes(0.48)
    assert PIECE_SAMPLES * call.pieces - len(call.own) <= FRAME_SAMPLES + LEAD


def test_an_interruption_stops_it_at_once_and_the_words_with_it() -> None:
    call = Call()
    call.answers(numbered(1.0))
    call.passes(0.48)
    call.conductor.own_voice.word("unspoken")
    call.conductor.drop_answer()
    before = len(call.own)
    call.passes(0.8)
    assert len(call.own) == before
    call.answers(numbered(0.4))
    call.passes(0.8)
    assert not any("unspoken" in words.text for words in call.said if words)
    assert np.array_equal(np.trim_zeros(call.own[before:]), numbered(0.4))


def test_while_an_answer_waits_for_the_caller_moshi_is_silent_and_then_goes_on_with_it() -> None:
    call = Call()
    call.answers(numbered(1.0))
    call.passes(0.4)
    call.conductor.hold_answer()
    call.passes(1.6)
    assert all(call.said[6:]), "nobody would hear what it likes to say"
    assert not np.frombuffer(call.said[-1].sound if call.said[-1] else b"\1\0", "<i2").any()
    call.conductor.go_on()
    call.passes(2.0)
    heard = np.concatenate(call.heard)
    assert np.array_equal(call.own[call.own != 0], heard[heard != 0])


def test_moshi_says_it_as_soft_as_it_is_heard() -> None:
    call = Call()
    call.conductor.caller(speaks=True)
    call.answers(np.full(SAMPLE_RATE, 10_000, np.int16))
    call.passes(0.8)
    assert set(call.own.tolist()) == {round(10_000 * DUCKED)}


def test_each_word_comes_with_the_frame_in_which_it_begins() -> None:
    call = Call()
    call.conductor.own_voice.word("nobody speaks")
    call.answers(numbered(1.0))
    call.passes(0.16)
    for word in ("Good ", "day "):
        call.conductor.own_voice.word(word)
        call.passes(0.16)
    call.passes(1.6)
    assert [words.text for words in call.said if words and words.text] == ["Good ", "day "]


def test_words_that_come_too_late_are_not_those_of_the_next_answer() -> None:
    call = Call()
    call.answers(numbered(0.4))
    call.passes(0.36)
    call.conductor.own_voice.word("last")
    call.passes(0.04)
    call.conductor.own_voice.word("later")
    call.passes(0.8)
    call.answers(numbered(0.4))
    call.passes(0.8)
    assert "".join(words.text for words in call.said if words) == "last"


def test_a_word_after_the_last_of_the_sound_is_nobodys() -> None:
    own = OwnVoice()
    for text in ("old", "new"):
        own.play(numbered(0.12))
        if text == "new":
            own.word(text)
        words = own.take()
        assert own.take()
        own.word("late")
        own.end()
        assert own.take() is None
    assert words is not None
    assert words.text == "new"


def test_who_is_not_asked_for_a_while_is_not_late_ever_after() -> None:
    own = OwnVoice()
    for at in range(0, 5 * SAMPLE_RATE, PIECE_SAMPLES):
        own.play(np.full(PIECE_SAMPLES, at // PIECE_SAMPLES, np.int16))
    words = own.take()
    assert words is not None
    behind = 5 * SAMPLE_RATE - FRAME_SAMPLES - MOST_BEHIND
    assert np.frombuffer(words.sound, "<i2")[0] == behind // PIECE_SAMPLES


@pytest.mark.parametrize("pieces", [(4, 3, 5), (3, 5, 4), (5, 3), (2, 6, 4)])
def test_pieces_that_come_unevenly_leave_no_gap(pieces: tuple[int, ...]) -> None:
    own, said, pcm = OwnVoice(), list[NDArray[np.int16]](), numbered(1.2)
    at = 0
    for turn in range(12):
        for _ in range(pieces[turn % len(pieces)]):
            own.play(pcm[at : at + PIECE_SAMPLES])
            at += PIECE_SAMPLES
        if words := own.take():
            said.append(np.frombuffer(words.sound, "<i2"))
    heard = np.concatenate(said)
    assert np.array_equal(heard, pcm[: len(heard)])


@pytest.mark.parametrize("asked", [0, 3])
def test_an_answer_that_nobody_asked_for_to_its_end_is_not_said_later(asked: int) -> None:
    """A greeting that is heard before Moshi is there; an engine that is lost."""
    call = Call()
    call.answers(numbered(1.2))
    call.passes(0.08 * asked)
    told = len(call.said)
    call.conductor.own_voice.word("old")
    call.late = -1
    call.passes(1.2)
    call.late = 0
    call.passes(0.8)
    assert not any(call.said[told:])
    before = len(call.own)
    call.answers(numbered(0.4))
    call.passes(0.8)
    assert np.array_equal(np.trim_zeros(call.own[before:]), numbered(0.4))
    assert not any("old" in words.text for words in call.said if words)
