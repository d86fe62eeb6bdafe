"""Telephone calls for which there is no seat, as livekit-sip brings them into a room."""

import asyncio

import pytest

from engine.client import EngineClient
from load_tests.phone import token
from tests.end_to_end.conftest import PATIENCE_S, SLOTS, StartWorker
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings

pytestmark = pytest.mark.timeout(120)


async def test_a_telephone_that_no_agent_takes_is_offered_again_and_then_hung_up(
    livekit: LiveKitSettings, start_worker: StartWorker, engine_port: int, told_port: int
) -> None:
    engine = f"ws://127.0.0.1:{engine_port}"
    settings = livekit.model_copy(update={"livekit_agent_name": "operator"})
    seats = [f"taken-{seat}" for seat in range(SLOTS)]
    web = {"WORKER_WEB_PORT": str(told_port), "ENGINE_URL": engine}
    with start_worker("start", "operator", **web) as worker:
        async with EngineClient(engine) as taken:
            try:
                for seat in seats:
                    await taken.reserve(seat, 60)
                first, second = (token(settings, new_room(), number) for number in (1, 2))
                async with Caller.enter(livekit.livekit_url, first) as busy:
                    await asyncio.wait_for(busy.agent_left.wait(), PATIENCE_S)
                    assert not busy.room.isconnected()
                    assert "it is hung up" in worker.said()
                async with Caller.enter(livekit.livekit_url, second) as lucky:
                    await asyncio.sleep(1)
                    await taken.release(seats.pop())
                    await lucky.wait_for_agent(PATIENCE_S)
                assert worker.said().count("it is offered again") == 2
                assert worker.said().count("it is hung up") == 1
            finally:
                for seat in seats:
                    await taken.release(seat)
