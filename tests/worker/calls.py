"""Calls in a fake room with a fake engine: what the tests of a call and of its continuity begin with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
from livekit import rtc

from engine.client import EngineClient
from engine.protocol import FRAME_BYTES
from tests.fake_engine import FakeEngine, serving
from tests.worker.fakes import FakeRoom, FakeSource
from worker.conversation import news
from worker.room.call import NOTHING_LOST, Call, CallLimits, CallManner
from worker.room.reasons import Reason
from worker.room.wishes import Wishes

Begin = Callable[..., "asyncio.Task[Reason]"]
HOUR = CallLimits(max_s=3600, grace_s=0)
PLAIN = CallManner()
ONE_MOMENT, ANEW, GOODBYE = 9001, 9002, 9003
"""Numbers of the tones that stand for what is announced."""


@dataclass(frozen=True)
class FakeClip:
    """A recording of one frame."""

    frame: bytes

    @property
    def frames(self) -> tuple[bytes, ...]:
        return (self.frame,)


def tone(number: int) -> bytes:
    """80 ms that can be told from those of another number."""
    return np.full(FRAME_BYTES // 2, 1000 + number, "<i2").tobytes()


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with serving(FakeEngine()) as engine:
        yield engine


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[EngineClient]:
    async with EngineClient(engine.url) as client:
        yield client


@pytest.fixture
async def begin(
    client: EngineClient, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Begin]:
    """Begins a call in a room, and sees to its end."""
    for name, number in (("ONE_MOMENT", ONE_MOMENT), ("ANEW", ANEW), ("GOODBYE", GOODBYE)):
        monkeypatch.setattr(news, name, FakeClip(tone(number)))
    calls: list[asyncio.Task[Reason]] = []

    def begin(
        room: FakeRoom,
        limits: CallLimits = HOUR,
        wishes: Wishes | None = None,
        engine: EngineClient = client,
        manner: CallManner = PLAIN,
        resume: Mapping[str, str] = NOTHING_LOST,
    ) -> asyncio.Task[Reason]:
        call = Call("job1", cast(rtc.Room, room), engine, limits, wishes, resume, manner=manner)
        calls.append(asyncio.create_task(call.run()))
        return calls[-1]

    yield begin
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
