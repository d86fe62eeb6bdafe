import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES, Audio
from tests.worker.calls import FakeClip, tone
from tests.worker.fakes import FakeMe
from tests.worker.waiting import until
from worker.conversation.mouth import Mouth
from worker.signs.agent_state import State
from worker.signs.transcript import Transcript
from worker.sound.clips import Clip
from worker.sound.voice import Voice

FIRST, SECOND, ANSWER = tone(1), tone(2), tone(3)


class FakeVoice:
    """Keeps what is to be heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def put(self, answer: Audio, _level_db: float) -> None:
        self.heard.append(answer.pcm)

    def rest(self) -> None:
        pass


class Speaker:
    """A mouth, and what came out of it."""

    def __init__(self) -> None:
        self.voice = FakeVoice()
        self.states: list[State] = []
        transcript = Transcript(cast(rtc.LocalParticipant, FakeMe()))
        self.mouth = Mouth(
            cast(Voice, self.voice), transcript, None, asyncio.get_running_loop().time, self._show
        )

    def _show(self) -> None:
        self.states.append(self.mouth.state)

    def speaks(self) -> bool:
        """Whether it is shown to."""
        return self.mouth.state is State.SPEAKING

    def answer(self, pcm: bytes = ANSWER) -> None:
        self.mouth.sound(Audio(0, 0, 0, pcm))


@pytest.fixture
async def speaker() -> AsyncIterator[Speaker]:
    speaker = Speaker()
    running = asyncio.create_task(speaker.mouth.run())
    yield speaker
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def clip(frame: bytes) -> Clip:
    return cast(Clip, FakeClip(frame))


async def test_recordings_are_played_one_after_the_other_in_the_models_place(speaker: Speaker) -> None:
    speaker.mouth.announce(clip(FIRST))
    speaker.mouth.announce(clip(SECOND))
    speaker.answer()
    await until(lambda: speaker.voice.heard)
    speaker.answer()
    async with asyncio.timeout(60):
        await speaker.mouth.announced()
    assert speaker.voice.heard == [FIRST, SECOND]
    assert not speaker.mouth.is_announcing
    speaker.answer()
    assert speaker.voice.heard == [FIRST, SECOND, ANSWER]


async def test_it_is_shown_to_speak_while_something_is_announced_and_while_the_model_does(
    speaker: Speaker,
) -> None:
    speaker.mouth.announce(clip(FIRST))
    assert speaker.speaks()
    async with asyncio.timeout(60):
        await speaker.mouth.announced()
    assert speaker.states == [State.LISTENING]
    speaker.mouth.word(" Hello")
    speaker.mouth.rest()
    assert speaker.states[1:] == [State.SPEAKING, State.LISTENING]


async def test_a_model_that_falls_silent_listens(speaker: Speaker) -> None:
    speaker.answer(ANSWER)
    assert speaker.speaks()
    for _ in range(20):
        speaker.answer(bytes(FRAME_BYTES))
    assert not speaker.speaks()
