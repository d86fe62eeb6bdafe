import asyncio
import math
from typing import cast

import pytest
from livekit import rtc

from tests.worker.fakes import FakeMe
from tests.worker.waiting import until
from worker.agent_state import HELD_FRAMES, SpeechDetector, State, StateSign


def test_listens_until_there_is_something_to_hear() -> None:
    speech = SpeechDetector()
    for level in (-math.inf, -60.0, -45.0):
        speech.frame(level)
        assert speech.state is State.LISTENING
    speech.frame(-30.0)
    assert speech.state is State.SPEAKING


def test_a_word_is_speech_before_its_sound_comes() -> None:
    speech = SpeechDetector()
    speech.word()
    assert speech.state is State.SPEAKING


def test_a_short_pause_does_not_end_speech() -> None:
    speech = SpeechDetector()
    speech.frame(-30.0)
    for _ in range(5):
        for _ in range(HELD_FRAMES - 1):
            speech.frame(-math.inf)
        assert speech.state is State.SPEAKING
        speech.frame(-45.0)
    for _ in range(HELD_FRAMES):
        speech.frame(-math.inf)
    assert speech.state is State.LISTENING


async def test_the_sign_shows_changes_only() -> None:
    me = FakeMe()
    sign = StateSign(cast(rtc.LocalParticipant, me))
    running = asyncio.create_task(sign.run())
    for state in (State.LISTENING, State.LISTENING, State.SPEAKING):
        sign.show(state)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await until(lambda: me.states == ["listening", "speaking"])
    running.cancel()


async def test_a_sign_that_cannot_be_shown_goes_on_with_the_next(caplog: pytest.LogCaptureFixture) -> None:
    me = FakeMe()
    sign = StateSign(cast(rtc.LocalParticipant, me))
    working = me.set_attributes

    async def failing(attributes: dict[str, str]) -> None:
        me.set_attributes = working  # type: ignore[method-assign]  # the next one works
        raise RuntimeError("no connection")

    me.set_attributes = failing  # type: ignore[method-assign]  # the first one fails
    running = asyncio.create_task(sign.run())
    sign.show(State.LISTENING)
    await until(lambda: "could not be shown" in caplog.text)
    sign.show(State.SPEAKING)
    await until(lambda: me.states == ["speaking"])
    running.cancel()
