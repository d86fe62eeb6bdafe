"""Conversations whose process is killed or asked to go: they go on in another one, or to their own end."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit import api
from livekit.rtc import SimulateScenarioKind

from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.processes import Running, at_once
from tests.end_to_end.takes import hear_themselves
from tests.end_to_end.test_reconnects import Open
from tests.end_to_end.test_reconnects import agent_in_a_room as agent_in_a_room
from tests.worker.waiting import until
from worker.caller.caller import Caller, new_room
from worker.conversation.sentences import NEW
from worker.dispatches import dispatch_again
from worker.room.reasons import Reason
from worker.settings import LiveKitSettings
from worker.signs import attributes

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Engine:
    """What workers need to find it, and what it says."""

    settings: dict[str, str]
    log: Path

    def sessions(self, event: str, reason: str = "") -> list[str]:
        """Those that this has happened to, in order: `call began`, `call goes on`, `call ended`."""
        return re.findall(rf"{event} session=(\w+).*{reason}", self.log.read_text())

    async def brought_back(self, *sessions: str) -> None:
        """Wait until these go on over another connection."""
        async with asyncio.timeout(PATIENCE_S):
            while not set(sessions) <= set(self.sessions("call goes on")):
                await asyncio.sleep(0.05)


@pytest.fixture
def engine(engine_port: int, admin_socket: Path, logs: Path) -> Engine:
    settings = {"ENGINE_URL": f"ws://127.0.0.1:{engine_port}", "ENGINE_ADMIN_SOCKET": str(admin_socket)}
    return Engine(settings, logs / "engine.log")


@asynccontextmanager
async def calls(livekit: LiveKitSettings, agent: str, count: int) -> AsyncIterator[list[Caller]]:
    """So many callers, each in a room with that agent."""
    settings = livekit.model_copy(update={"livekit_agent_name": agent})
    async with AsyncExitStack() as until_the_end:
        callers = []
        for _ in range(count):
            caller = await until_the_end.enter_async_context(Caller.join(settings, new_room()))
            await caller.wait_for_agent(PATIENCE_S)
            await in_conversation(caller)
            callers.append(caller)
        yield callers


async def in_conversation(caller: Caller) -> None:
    """Wait for the agent's session, which begins after its track."""
    await until(lambda: attributes.MODEL in caller.agent_attributes, PATIENCE_S)


def agents(worker: Running) -> list[int]:
    """The processes of a worker's calls, in the order in which they began."""
    return [int(pid) for pid in re.findall(r'"call began", .*"pid": (\d+)', worker.said())]


async def test_the_calls_of_a_killed_worker_go_on_in_another(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: Engine
) -> None:
    with ExitStack() as workers:
        worker = workers.enter_context(start_worker("start", "killed", **engine.settings))
        async with calls(livekit, "killed", 2) as callers:
            assert await hear_themselves(*callers)
            conversations = engine.sessions("call began")
            worker.process.kill()
            # It may have been started again by then, or have stood beside the other.
            another = start_worker("start", "killed", **engine.settings)
            await asyncio.to_thread(workers.enter_context, another)
            await engine.brought_back(*conversations[-2:])
            assert await hear_themselves(*callers)
            assert engine.sessions("call began") == conversations


async def test_a_call_whose_job_is_killed_goes_on_in_another_and_no_other_call_notices(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: Engine
) -> None:
    with start_worker("start", "crashing", **engine.settings) as worker:
        async with calls(livekit, "crashing", 1) as (unlucky,):
            await until(lambda: agents(worker), PATIENCE_S)
            (job,) = agents(worker)
            async with calls(livekit, "crashing", 1) as (other,):
                conversations = engine.sessions("call began")
                os.kill(job, signal.SIGKILL)
                await engine.brought_back(conversations[-2])
                assert await hear_themselves(unlucky, other)
                assert engine.sessions("call began") == conversations
                assert conversations[-1] not in engine.sessions("call goes on")
                assert not other.agent_left.is_set()


async def test_a_call_whose_agent_is_sent_away_by_the_server_goes_on_in_another_job(
    agent_in_a_room: Open, start_worker: StartWorker, engine: Engine
) -> None:
    with ExitStack() as workers:
        async with agent_in_a_room() as agent, agent.caller() as caller:
            assert await hear_themselves(caller)
            conversations = engine.sessions("call began")
            # In a room that asked for it before it was there.
            another = start_worker("start", "nobody", **engine.settings)
            await asyncio.to_thread(workers.enter_context, another)
            await agent.room.simulate_scenario(SimulateScenarioKind.SIMULATE_SERVER_LEAVE)
            assert await agent.call is Reason.CONNECTION_LOST
            await engine.brought_back(conversations[-1])
            assert await hear_themselves(caller)
            assert engine.sessions("call began") == conversations


async def test_a_worker_that_comes_back_too_late_for_a_call_begins_another_one_in_its_room(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: Engine
) -> None:
    # Nobody tells these workers of what is lost, and nobody brings it back.
    of_engine = {"ENGINE_URL": engine.settings["ENGINE_URL"]}
    secret = livekit.livekit_api_secret.get_secret_value()
    with ExitStack() as workers:
        async with (
            api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret) as server,
            AsyncExitStack() as until_the_end,
        ):
            with start_worker("start", "late", **of_engine) as worker:
                (caller,) = await until_the_end.enter_async_context(calls(livekit, "late", 1))
                (agent,) = caller.room.remote_participants
                worker.process.kill()
            before = await server.agent_dispatch.list_dispatch(caller.room.name)
            # As the server does it 20 s later.
            killed = api.RoomParticipantIdentity(room=caller.room.name, identity=agent)
            await server.room.remove_participant(killed)
            late = at_once(*(start_worker("start", "late", **of_engine) for _ in range(2)))
            await asyncio.to_thread(workers.enter_context, late)
            await until(lambda: NEW in [segment.text for segment in caller.segments], 2 * PATIENCE_S)
            assert await hear_themselves(caller)
            assert len(caller.room.remote_participants) == 1, "one of the two workers came, not both"
            late_again = await dispatch_again(server, caller.room.name, "late", before, anew=True)
            assert late_again is None, "a dispatch can be replaced once"


async def test_a_worker_is_replaced_without_a_call_that_ends(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: Engine
) -> None:
    with start_worker("start", "replaced", **engine.settings) as old:
        async with calls(livekit, "replaced", 2) as callers:
            conversations = engine.sessions("call began")[-2:]
            with start_worker("start", "replaced", **engine.settings) as new:
                old.ask_to_stop()
                async with calls(livekit, "replaced", 1):
                    assert await hear_themselves(*callers)
                    assert len(agents(old)) == 2
                    assert len(agents(new)) == 1
                assert not any(caller.agent_left.is_set() for caller in callers)
                assert old.process.poll() is None
        assert old.exit_code() == 0
        assert set(conversations) <= set(engine.sessions("call ended", "reason=hang_up"))
