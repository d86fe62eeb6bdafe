"""An AgentSession with Moshi in it, without a room: what the framework makes of what cannot go on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit.agents import Agent, AgentSession, CloseEvent, CloseReason, ErrorEvent, function_tool, llm

from engine.errors import SessionError
from tests.fake_engine import FakeEngine
from tests.worker.waiting import until
from worker.plugin import MoshiDuplexModel


@pytest.fixture
async def agent_session(engine: FakeEngine) -> AsyncIterator[AgentSession[None]]:
    session: AgentSession[None] = AgentSession(
        llm=MoshiDuplexModel(engine_url=engine.url),
        vad=None,
        turn_handling={"turn_detection": "realtime_llm"},
    )
    yield session
    await session.aclose()


async def test_an_agent_with_tools_does_not_start_and_says_why(
    agent_session: AgentSession[None], engine: FakeEngine
) -> None:
    @function_tool
    async def weather() -> str:
        """Look at the sky."""
        return "fine"

    with pytest.raises(llm.RealtimeError, match="Leave `tools` and methods with @function_tool out"):
        await agent_session.start(Agent(instructions="", tools=[weather]))
    assert engine.requests == []


async def test_what_cannot_be_served_closes_the_session_with_its_reason(
    agent_session: AgentSession[None], engine: FakeEngine
) -> None:
    engine.refuses = SessionError("this model takes no voice")
    errors: list[ErrorEvent] = []
    closed: asyncio.Future[CloseEvent] = asyncio.get_running_loop().create_future()
    agent_session.on("error", errors.append)
    agent_session.on("close", closed.set_result)
    await agent_session.start(Agent(instructions=""))
    assert (await asyncio.wait_for(closed, 60)).reason is CloseReason.ERROR
    assert [str(error.error.error) for error in errors] != []
    assert "this model takes no voice" in str(errors[0].error.error)


async def test_closing_the_session_frees_the_seat(
    agent_session: AgentSession[None], engine: FakeEngine
) -> None:
    await agent_session.start(Agent(instructions=""))
    await until(lambda: engine.in_calls)
    await agent_session.aclose()
    await until(lambda: not engine.in_calls)
    assert engine.ends == ["hang_up"]


async def test_the_agent_can_reach_the_session_for_what_is_moshis_own(
    agent_session: AgentSession[None],
) -> None:
    agent = Agent(instructions="")
    await agent_session.start(agent)
    assert agent.duplex_session.duplex_model.provider == "moshi"
