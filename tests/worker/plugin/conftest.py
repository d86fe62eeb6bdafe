import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents.metrics import RealtimeModelMetrics

from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from tests.fake_engine import FakeEngine
from worker.plugin import MoshiDuplexModel, MoshiDuplexSession


def sound(level: int) -> rtc.AudioFrame:
    """80 ms as a framework pushes it."""
    return rtc.AudioFrame(np.full(FRAME_SAMPLES, level, "<i2").tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES)


@dataclass
class Talk:
    """A session, and all that it told."""

    session: MoshiDuplexSession
    errors: list[llm.RealtimeModelError] = field(default_factory=list)
    reconnected: int = 0
    words: list[llm.DuplexOutputTranscriptDelta] = field(default_factory=list)
    metrics: list[RealtimeModelMetrics] = field(default_factory=list)
    caller: list[str] = field(default_factory=list)
    answers: list[llm.DuplexAudioFrame] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        on = self.session.on
        on("error", self.errors.append)
        on("session_reconnected", self._count)
        on("transcript_delta", self.words.append)
        on("metrics_collected", self.metrics.append)
        on("input_speech_started", lambda _event: self.caller.append("speaks"))
        on("input_speech_stopped", lambda _event: self.caller.append("listens"))
        self.listening = asyncio.create_task(self._listen())

    def _count(self, _event: llm.RealtimeSessionReconnectedEvent) -> None:
        self.reconnected += 1

    async def _listen(self) -> None:
        async for answer in self.session.audio_stream:
            self.answers.append(answer)
        self.ended = True

    async def say(self, *levels: int) -> None:
        """Speak, and wait for the answer to each frame."""
        for level in levels:
            already = len(self.answers)
            self.session.push_audio(sound(level))
            async with asyncio.timeout(60):
                while len(self.answers) == already:
                    await asyncio.sleep(0.005)


Begin = Callable[..., Any]


@pytest.fixture
async def begin(engine: FakeEngine) -> AsyncIterator[Begin]:
    """Begins a session of a model with these options, and sees to its end."""
    talks: list[Talk] = []

    async def begin(configured: bool = True, **options: Any) -> Talk:
        talks.append(Talk(MoshiDuplexModel(**{"engine_url": engine.url} | options).session()))
        if configured:
            await talks[-1].session._update_session(
                instructions="", chat_ctx=llm.ChatContext.empty(), tools=[]
            )
        return talks[-1]

    yield begin
    for talk in talks:
        await talk.session.aclose()
        await talk.listening
