"""Telephone calls as livekit-sip brings them into a room: their whole life, or no seat for them."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.client import EngineClient
from load_tests.phone import Line, token
from tests.end_to_end.conftest import DESK, PATIENCE_S, SLOTS, StartWorker
from tests.end_to_end.processes import ROOT, Running
from tests.worker.waiting import until
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.settings import LiveKitSettings
from worker.signs.agent_state import State

pytestmark = pytest.mark.timeout(120)

SILENT = 200
"""What Opus makes of nothing is below this."""
_CODES = {"*": 10, "#": 11}


async def press(phone: Caller, key: str) -> None:
    await phone.room.local_participant.publish_dtmf(code=_CODES.get(key, 0), digit=key)


async def tell(phone: Caller, status: str) -> None:
    await phone.room.local_participant.set_attributes({"sip.callStatus": status})


def loudest(phone: Caller) -> int:
    return int(np.abs(phone.heard).max(initial=0))


async def answered(phone: Caller, speech: NDArray[np.int16]) -> None:
    """Say it until the parrot repeats it louder than it was on the line."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await phone.say(np.pad(speech, (0, SPEAKING_RATE)))
            if loudest(phone) > 2 * np.abs(speech).max():
                return


async def quiet(phone: Caller) -> None:
    """Wait until nothing has been heard for a second."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await phone.say(np.zeros(SPEAKING_RATE, np.int16))
            if loudest(phone) < SILENT:
                return


async def free(engine: EngineClient) -> None:
    """Wait until nobody is in a call."""
    async with asyncio.timeout(PATIENCE_S):
        while (await engine.seats()).in_calls:
            await asyncio.sleep(0.02)


@pytest.fixture
def speech() -> NDArray[np.int16]:
    """A quiet voice, at the other end of a line that loses a packet now and then."""
    spoken = sound_files.read(ROOT / "deploy" / "sample.wav", SPEAKING_RATE)[: 3 * SPEAKING_RATE]
    return Line("alaw", loss_percent=1).carried(spoken // 8, SPEAKING_RATE)


async def test_a_telephone_call_from_the_first_ring_to_the_last_key(
    worker: Running, livekit: LiveKitSettings, engine_port: int, speech: NDArray[np.int16]
) -> None:
    async with (
        EngineClient(f"ws://127.0.0.1:{engine_port}") as engine,
        Caller.enter(livekit.livekit_url, token(livekit, new_room(), 1, "ringing")) as phone,
    ):
        # livekit-sip answers once there is a track.
        await phone.wait_for_agent(PATIENCE_S)
        await phone.say(speech[:SPEAKING_RATE])
        assert loudest(phone) < SILENT, "a telephone that rings was talked to"
        assert State.LISTENING not in phone.states
        await tell(phone, "active")
        await until(lambda: State.LISTENING in phone.states, PATIENCE_S)
        assert loudest(phone) > 1000, "nobody said that this is a machine"
        await quiet(phone)
        await answered(phone, speech)

        await press(phone, "*")
        await quiet(phone)
        await phone.say(speech)
        assert loudest(phone) < SILENT, "it was heard though it was muted"
        await press(phone, "*")
        await answered(phone, speech)

        await press(phone, "0")
        await until(lambda: "was not put through" in worker.said(), PATIENCE_S)
        assert DESK not in worker.said()
        assert not phone.agent_left.is_set()

        await press(phone, "#")
        await asyncio.wait_for(phone.agent_left.wait(), PATIENCE_S)
        assert not phone.room.isconnected()
        await free(engine)
        await until(lambda: '"reason": "caller_left"' in worker.said(), PATIENCE_S)


async def test_a_telephone_that_was_hung_up_is_gone_at_once(
    worker: Running, livekit: LiveKitSettings, engine_port: int
) -> None:
    async with (
        EngineClient(f"ws://127.0.0.1:{engine_port}") as engine,
        Caller.enter(livekit.livekit_url, token(livekit, new_room(), 1)) as phone,
    ):
        await phone.wait_for_agent(PATIENCE_S)
        await tell(phone, "hangup")
        # Though the participant is still there.
        await asyncio.wait_for(phone.agent_left.wait(), PATIENCE_S)
        await free(engine)
        assert phone.room.isconnected()


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
                # The second one too, unless the seat was free before that.
                assert worker.said().count("it is offered again") >= 1
                assert worker.said().count("it is hung up") == 1
            finally:
                for seat in seats:
                    await taken.release(seat)
