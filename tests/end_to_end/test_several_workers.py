"""Seats of one engine that several workers offer at the same time."""

import asyncio
from collections import Counter

import pytest

from engine.client import EngineClient
from tests.end_to_end.conftest import PATIENCE_S, SLOTS, StartWorker
from tests.end_to_end.processes import at_once
from worker.caller.caller import Caller, NoAgent, new_room
from worker.settings import LiveKitSettings

WORKERS, FREE, CALLERS = 3, 2, 4
REFUSED_AFTER_S = 8.0

pytestmark = pytest.mark.timeout(180)


async def test_callers_at_once_get_every_seat_and_none_too_many(
    livekit: LiveKitSettings, start_worker: StartWorker, engine_port: int
) -> None:
    settings = livekit.model_copy(update={"livekit_agent_name": "rivals"})
    all_answered = asyncio.Barrier(CALLERS)

    async def call() -> str:
        async with Caller.join(settings, new_room()) as caller:
            try:
                await caller.wait_for_agent(REFUSED_AFTER_S)
                told = "answered"
            except NoAgent:
                told = "refused"
            # Nobody leaves before all know: that would be a seat for them.
            await all_answered.wait()
            return told

    url = f"ws://127.0.0.1:{engine_port}"
    with at_once(*(start_worker("start", "rivals", ENGINE_URL=url) for _ in range(WORKERS))):
        async with EngineClient(url) as engine:
            for seat in range(SLOTS - FREE):
                await engine.reserve(f"taken-{seat}", 60)
            try:
                async with asyncio.timeout(PATIENCE_S + REFUSED_AFTER_S), asyncio.TaskGroup() as tasks:
                    told = [tasks.create_task(call()) for _ in range(CALLERS)]
                assert Counter(each.result() for each in told) == {
                    "answered": FREE,
                    "refused": CALLERS - FREE,
                }
            finally:
                for seat in range(SLOTS - FREE):
                    await engine.release(f"taken-{seat}")
