"""What one speaker may send, in virtual time."""

import numpy as np
import pytest

from engine.errors import SessionError
from engine.service.places import Place
from engine.service.transcription import ServedStt, Transcription
from engine.step.frames import FRAME_S, Frame, Sampling, SlotRef, StepResult
from tests.engine.fake_clock import FakeClock

FRAME = bytes(3840)
DELAY_FRAMES = 8


def test_who_speaks_faster_than_it_is_written_down_is_stopped_after_half_a_minute() -> None:
    clock, frames = FakeClock(1.0), list[Frame]()
    speaker = transcription(frames, clock)
    with pytest.raises(SessionError, match="wait to be written down"):
        speak(speaker, clock)
    assert 375 <= len(frames) <= 377


def test_who_is_answered_may_speak_on_and_flush() -> None:
    clock, frames = FakeClock(1.0), list[Frame]()
    speaker = transcription(frames, clock)
    for _ in range(500):
        clock.now += FRAME_S
        speaker.receive(FRAME)
        speaker.answer(result(frames[-1]))
    speaker.flush()
    assert len(frames) == 500 + DELAY_FRAMES


def test_a_flush_puts_nothing_in_where_more_waits_already() -> None:
    clock, frames = FakeClock(1.0), list[Frame]()
    speaker = transcription(frames, clock)
    for _ in range(10):
        clock.now += 1.0
        speaker.receive(FRAME)
        speaker.flush()
    assert len(frames) == 10 + DELAY_FRAMES


def test_silence_that_was_put_in_is_told_from_what_was_sent() -> None:
    clock, frames = FakeClock(1.0), list[Frame]()
    speaker = transcription(frames, clock)
    speaker.receive(FRAME)
    speaker.flush()
    speaker.receive(FRAME + b"\1\0")
    speaker.finish()
    sent = []
    for frame in frames:
        sent.append(speaker.was_sent(frame))
        speaker.answer(result(frame))
    # What was no whole frame was sent as well.
    assert sent == [True, *[False] * DELAY_FRAMES, True, True, *[False] * (DELAY_FRAMES + 13)]


def speak(speaker: Transcription, clock: FakeClock) -> None:
    for _ in range(500):
        clock.now += FRAME_S
        speaker.receive(FRAME)


def transcription(frames: list[Frame], clock: FakeClock) -> Transcription:
    model = ServedStt(
        "fake",
        0.5,
        0.0,
        0,
        Sampling(),
        0,
        lambda _token: " word",
        lambda _tokens: "",
    )
    return Transcription(Place("speaker", SlotRef(0, 0)), model, frames.append, clock)


def result(frame: Frame) -> StepResult:
    return StepResult(frame, np.zeros(0, np.int16), 3, 0.0, 0.0)
