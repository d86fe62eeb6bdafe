"""A real AgentSession with real plugins over HTTP, whose answers the conductor plays."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.llm import ChatMessage
from livekit.plugins.openai import LLM, TTS

from engine.step.frames import SAMPLE_RATE
from load_tests.hybrid.model_server import SECONDS_A_WORD, ModelServer
from tests.worker.waiting import until
from worker.hybrid.conductor import PIECE_SAMPLES, Conductor
from worker.hybrid.said_aloud import SaidAloud
from worker.hybrid.stage import Stage


class Assistant(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def weather(self, city: str) -> str:
        """What the weather is like in a city."""
        return f"In {city} it rains."


class Track:
    """Plays ten times as fast as it would be heard, for as long as it is let."""

    queued_duration = 0.0

    def __init__(self) -> None:
        self.heard = np.zeros(0, np.int16)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.heard = np.concatenate([self.heard, np.frombuffer(frame.data, "<i2")])
        await asyncio.sleep(frame.duration / 10)


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    async with ModelServer.running() as server:
        yield server


@pytest.fixture
async def session(models: ModelServer) -> AsyncIterator[AgentSession[Any]]:
    llm = LLM(base_url=models.url, api_key="none", model="none")
    tts = TTS(base_url=models.url, api_key="none", model="tts-1", response_format="pcm")
    session: AgentSession[Any] = AgentSession(
        llm=llm,
        tts=tts,
        vad=None,
        turn_handling={"turn_detection": "manual"},
    )
    stage, track = Stage(Conductor()), Track()
    session.output.audio = stage
    session.userdata = track
    playing = asyncio.create_task(stage.play(cast(Any, track)))
    await session.start(Assistant(), record=False)
    yield session
    await session.aclose()
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await llm.aclose()
    await tts.aclose()


async def test_a_tool_is_called_and_its_result_is_heard(
    session: AgentSession[Any], models: ModelServer
) -> None:
    async with asyncio.timeout(30):
        await session.generate_reply(user_input="What is the weather like in Paris?")
    assert [asked.text for asked in models.of("speech")] == ["In Paris it rains."]
    assert len(session.userdata.heard) >= 4 * SECONDS_A_WORD * SAMPLE_RATE
    assert session.agent_state == "listening"


async def test_who_interrupts_an_answer_has_not_heard_the_rest_of_it(
    session: AgentSession[Any], models: ModelServer
) -> None:
    models.answer = " ".join(["and so on"] * 200)
    told = session.generate_reply(user_input="Tell me a story.")
    await until(lambda: len(session.userdata.heard) > 12_000, 30)
    told.interrupt()
    async with asyncio.timeout(30):
        await told
    length = len(session.userdata.heard)
    # As long as a second of it would have taken.
    await asyncio.sleep(0.1)
    assert len(session.userdata.heard) <= length + PIECE_SAMPLES
    models.answer = "As you wish."
    async with asyncio.timeout(30):
        await session.generate_reply(user_input="Stop.")
    assert len(session.userdata.heard) >= length + 3 * SECONDS_A_WORD * SAMPLE_RATE


async def test_the_llm_reads_what_moshi_has_said_aloud_and_the_history_has_only_its_own_words(
    session: AgentSession[Any], models: ModelServer
) -> None:
    aloud = SaidAloud()
    aloud.tell(session.current_agent)
    aloud.tell(session.current_agent)
    aloud.write("Mm-hm.", ends=True)
    async with asyncio.timeout(30):
        await session.generate_reply(user_input="Hello?")
    (asked,) = models.of("chat")
    assert asked.text.count("Mm-hm.") == 1
    assert asked.text.endswith("Hello?")
    assert [item.text_content for item in session.history.items if isinstance(item, ChatMessage)][-2:] == [
        "Hello?",
        "Good day to you.",
    ]
