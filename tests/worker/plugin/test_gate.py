"""What of the model's sound is played in somebody's own AgentSession."""

import numpy as np
from livekit import rtc

from engine.protocol import FRAME_BYTES, Audio
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.plugin.gate import Marker, MarkGate
from worker.signs.agent_state import HELD_FRAMES

GATE = MarkGate()
SOFT = np.full(FRAME_SAMPLES, 200, "<i2").tobytes()
"""-44 dB: sound, but too soft to be taken for the beginning of speech."""
LOUD = np.full(FRAME_SAMPLES, 3000, "<i2").tobytes()
SILENCE = bytes(FRAME_BYTES)


def passes(marker: Marker, pcm: bytes) -> bool:
    return GATE.update(marker.frame(Audio(0, 0, 0, pcm)))


def test_silence_is_not_played() -> None:
    assert not passes(Marker(), SILENCE)


def test_a_soft_onset_is_played_because_its_word_came_before_it() -> None:
    marker = Marker()
    assert not passes(marker, SOFT), "it would be lost without the word"
    marker.word()
    assert passes(marker, SOFT)


def test_sound_without_words_is_played_from_its_first_loud_frame() -> None:
    assert passes(Marker(), LOUD)


def test_a_pause_within_speech_is_played_and_what_follows_the_speech_is_not() -> None:
    marker = Marker()
    marker.word()
    pause = [passes(marker, SILENCE) for _ in range(HELD_FRAMES - 1)]
    assert passes(marker, LOUD)
    after = [passes(marker, SILENCE) for _ in range(HELD_FRAMES)]
    assert all(pause)
    assert after == [True] * (HELD_FRAMES - 1) + [False]


def test_one_gate_may_serve_several_sessions_and_closing_changes_nothing() -> None:
    one, other = Marker(), Marker()
    one.word()
    GATE.deactivate()
    assert [passes(one, SOFT), passes(other, SOFT)] == [True, False]


def test_what_no_session_has_marked_is_not_played() -> None:
    assert not GATE.update(rtc.AudioFrame(LOUD, SAMPLE_RATE, 1, FRAME_SAMPLES))


def test_the_sound_stays_as_it_was() -> None:
    frame = Marker().frame(Audio(7, 0, 0, LOUD))
    assert (bytes(frame.data), frame.sample_rate, frame.num_channels) == (LOUD, 24000, 1)
