"""Conversations that go on: through reconnects and reloads of the caller and of the agent, and a lost engine.

A call of this file runs in the test itself, so that its room can be made to reconnect.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import SHUT_RDWR, SOCK_DGRAM
from types import MappingProxyType

import numpy as np
import pytest
from livekit import api, rtc
from livekit.rtc import SimulateScenarioKind as Scenario
from pydantic import SecretStr

from engine.client import EngineClient, EngineSession
from engine.protocol import SessionRequest
from engine.step.frames import SAMPLE_RATE
from tests.end_to_end.conftest import KEY, PATIENCE_S, SECRET, livekit_binary, livekit_configuration
from tests.end_to_end.processes import Running, free_port, get, python, running, wait_for
from tests.end_to_end.scene import metrics, value, worker_call
from tests.end_to_end.sounds import keyed_phrases, share
from tests.end_to_end.takes import hear_themselves
from tests.worker.waiting import until
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.conversation.sentences import LOST, NEW, UNHEARD
from worker.room.call import Call, CallLimits, CallManner
from worker.room.ears import NO_MICROPHONE
from worker.room.reasons import Reason
from worker.settings import LiveKitSettings
from worker.signs import agent_state
from worker.signs.agent_state import State
from worker.signs.transcript import TOPIC
from worker.tokens import caller_token

CALL, IDENTITY = "job1", "agent-job1"
"""As LiveKit names an agent after its job."""
PHRASE_HZ = 700
LAST_WORDS_S = 5
PARROTS_WORDS = {"I", "hear", "you"}
CONTEXT_FRAMES = 64
"""The parrot's, see docs/parrot.md."""
PLAIN = CallManner()
ALONE: Mapping[str, str] = MappingProxyType({})

pytestmark = pytest.mark.timeout(180)


async def vanish(caller: Caller) -> None:
    """Close the page: nobody is told."""
    await caller.room.disconnect()


async def be_sent_away(caller: Caller) -> None:
    """The server tells the caller's SDK to leave and not to come back, as one does that shuts down."""
    await caller.room.simulate_scenario(Scenario.SIMULATE_SERVER_LEAVE)
    await until(lambda: not caller.room.isconnected(), PATIENCE_S)


async def reconnected(room: rtc.Room, scenario: Scenario.ValueType) -> None:
    """Make a room reconnect, and wait until it has."""
    done = asyncio.Event()
    room.once("reconnected", done.set)
    await room.simulate_scenario(scenario)
    await asyncio.wait_for(done.wait(), PATIENCE_S)


class CountedEngine(EngineClient):
    """Notes every session that is opened: whether it was to resume one."""

    def __init__(self, url: str, peers: Mapping[str, str] = ALONE) -> None:
        super().__init__(url, peers=peers)
        self.opened: list[str] = []

    def lose_connection(self) -> None:
        """As a network would."""
        for socket in self._sockets:
            if not socket.closed:
                socket.get_extra_info("socket").shutdown(SHUT_RDWR)

    async def open(self, request: SessionRequest, resume: str | None = None) -> EngineSession:
        session = await super().open(request, resume)
        self.opened.append("resumed" if resume else "new")
        return session


@dataclass
class Agent:
    """An agent in a room of its own, with a call that waits for somebody."""

    room: rtc.Room
    engine: CountedEngine
    call: "asyncio.Task[Reason]"
    settings: LiveKitSettings
    server: api.LiveKitAPI

    @asynccontextmanager
    async def caller(self, identity: str = "ada") -> AsyncIterator[Caller]:
        """Somebody who has come into the room and is heard there, over a connection of their own."""
        async with Caller.enter(self.settings.livekit_url, self.token(identity)) as caller:
            await caller.wait_for_agent(PATIENCE_S)
            yield caller

    def token(self, identity: str) -> str:
        """What lets somebody in."""
        return caller_token(self.settings, self.room.name, identity).to_jwt()

    async def permit(self, can_publish: bool) -> None:
        """Let the server allow or forbid the agent's voice."""
        permission = api.ParticipantPermission(
            can_subscribe=True, can_publish=can_publish, can_publish_data=True, can_update_metadata=True
        )
        await self.server.room.update_participant(
            api.UpdateParticipantRequest(room=self.room.name, identity=IDENTITY, permission=permission)
        )


Open = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
def agent_in_a_room(livekit: LiveKitSettings, engine_port: int) -> Open:
    """Opens a room with an agent in it."""
    return rooms_of(livekit, engine_port)


def rooms_of(livekit: LiveKitSettings, engine_port: int) -> Open:
    """The same, of any server."""

    @asynccontextmanager
    async def open_room(
        grace_s: float = 30.0,
        port: int = engine_port,
        manner: CallManner = PLAIN,
        peers: Mapping[str, str] = ALONE,
    ) -> AsyncIterator[Agent]:
        name, key = new_room(), livekit.livekit_api_key
        secret = livekit.livekit_api_secret.get_secret_value()
        room = rtc.Room()
        async with (
            api.LiveKitAPI(livekit.livekit_url, key, secret) as server,
            CountedEngine(f"ws://127.0.0.1:{port}", peers) as engine,
        ):
            # Nobody has that name: the agent is ours.
            nobody = api.RoomAgentDispatch(agent_name="nobody")
            await server.room.create_room(
                api.CreateRoomRequest(name=name, departure_timeout=60, agents=[nobody])
            )
            grants = api.VideoGrants(room_join=True, room=name, agent=True, can_update_own_metadata=True)
            token = api.AccessToken(key, secret).with_identity(IDENTITY).with_kind("agent")
            await room.connect(
                livekit.livekit_url, token.with_grants(grants).to_jwt(), rtc.RoomOptions(auto_subscribe=False)
            )
            limits = CallLimits(600, grace_s=grace_s)
            call = asyncio.create_task(Call(CALL, room, engine, limits, manner=manner).run())
            try:
                yield Agent(room, engine, call, livekit, server)
            finally:
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                await room.disconnect()
                await server.room.delete_room(api.DeleteRoomRequest(room=name))

    return open_room


async def answered_frames(engine_port: int) -> float:
    """How many an engine has answered."""
    return value(await asyncio.to_thread(metrics, engine_port), "moshi_frames_total")


async def listened_to(caller: Caller) -> None:
    """Wait until the model has said its words: those of what is said next are a segment of their own."""
    await until(lambda: caller.agent_attributes.get(agent_state.ATTRIBUTE) == State.LISTENING, PATIENCE_S)


def notices(caller: Caller) -> list[str]:
    """What was written to them, but for the model's own words, of which a fault may cut some off."""
    texts = [segment.text for segment in caller.segments]
    return [text for text in texts if not PARROTS_WORDS.issuperset(text.rstrip(".").split())]


async def test_a_caller_who_has_to_reconnect_goes_on_in_the_conversation_through_two_context_windows(
    agent_in_a_room: Open, engine_port: int
) -> None:
    before = await answered_frames(engine_port)
    async with agent_in_a_room() as agent, agent.caller() as caller:
        assert await hear_themselves(caller)
        for scenario in (
            Scenario.SIMULATE_SIGNAL_RECONNECT,
            Scenario.SIMULATE_FULL_RECONNECT,
            Scenario.SIMULATE_NODE_FAILURE,
            Scenario.SIMULATE_MIGRATION,
        ):
            await reconnected(caller.room, scenario)
            assert await hear_themselves(caller), Scenario.Name(scenario)
        async with asyncio.timeout(2 * PATIENCE_S):
            while await answered_frames(engine_port) < before + 2 * CONTEXT_FRAMES:
                await asyncio.sleep(0.5)
        assert await hear_themselves(caller)
        assert agent.engine.opened == ["new"]
        assert not agent.call.done()


async def test_an_agent_that_has_to_reconnect_goes_on_and_shows_itself_as_before(
    agent_in_a_room: Open,
) -> None:
    async with agent_in_a_room() as agent, agent.caller() as caller:
        assert await hear_themselves(caller)
        for scenario in (Scenario.SIMULATE_FULL_RECONNECT, Scenario.SIMULATE_NODE_FAILURE):
            await reconnected(agent.room, scenario)
            await until(lambda: caller.agent_attributes.get("moshi.model") == "parrot", PATIENCE_S)
            assert await hear_themselves(caller), Scenario.Name(scenario)
        await listened_to(caller)
        assert await hear_themselves(caller)
        (track,) = agent.room.local_participant.track_publications
        await until(lambda: caller.segments[-1].track_sid == track, PATIENCE_S)
        assert agent.engine.opened == ["new"]


@pytest.mark.parametrize("leave", [vanish, be_sent_away])
async def test_who_reloads_the_page_or_is_sent_away_finds_the_conversation_again(
    agent_in_a_room: Open, leave: Callable[[Caller], Awaitable[None]]
) -> None:
    async with agent_in_a_room() as agent:
        async with agent.caller() as caller:
            assert await hear_themselves(caller)
            await leave(caller)
        await asyncio.sleep(3)
        async with agent.caller() as caller:
            assert await hear_themselves(caller)
        assert agent.engine.opened == ["new"]
        assert await agent.call is Reason.CALLER_LEFT


async def test_who_is_cut_off_before_the_server_notices_is_waited_for(
    agent_in_a_room: Open, engine_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their process stands still: nothing comes from it, and the server keeps them in the room for 20 s."""
    recording = np.concatenate(keyed_phrases(PHRASE_HZ, 3))
    sound_files.write(tmp_path / "in.wav", recording, SPEAKING_RATE)
    async with agent_in_a_room() as agent:
        with caplog.at_level("INFO", "worker"):
            options = ("in.wav", "out.wav", "--room", agent.room.name)
            caller = worker_call(agent.settings, tmp_path, *options)
            try:
                before = await answered_frames(engine_port)
                while await answered_frames(engine_port) < before + 20:
                    await asyncio.sleep(0.2)
                caller.send_signal(signal.SIGSTOP)
                await until(lambda: "caller away" in caplog.messages, PATIENCE_S)
                # Nobody hears what the model would say: once it has answered what was on its way, it rests.
                async with asyncio.timeout(PATIENCE_S):
                    answered = -1.0
                    while answered != (answered := await answered_frames(engine_port)):
                        await asyncio.sleep(2)
                caller.send_signal(signal.SIGCONT)
                await until(lambda: "caller back" in caplog.messages, PATIENCE_S)
                _, said = await asyncio.to_thread(caller.communicate, timeout=60)
            finally:
                caller.kill()
                caller.wait()
        assert caller.returncode == 0, said
        assert agent.engine.opened == ["new"]
        heard = sound_files.read(tmp_path / "out.wav", SAMPLE_RATE)
        assert share(heard[-LAST_WORDS_S * SAMPLE_RATE :], PHRASE_HZ) > 0.3


async def test_a_lost_connection_to_the_engine_is_not_noticed(
    agent_in_a_room: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as it takes on this machine.
    monkeypatch.setattr("worker.conversation.interruption.UNTOLD_S", PATIENCE_S)
    async with agent_in_a_room() as agent, agent.caller() as caller:
        assert await hear_themselves(caller)
        agent.engine.lose_connection()
        assert await hear_themselves(caller)
        assert agent.engine.opened == ["new", "resumed"]
        assert notices(caller) == []
        assert not caller.agent_attributes.get("moshi.trouble")


async def test_an_engine_that_is_killed_is_waited_for_and_the_new_conversation_is_said_to_be_one(
    agent_in_a_room: Open, logs: Path
) -> None:
    port = free_port()
    with ExitStack() as engines:
        first = engines.enter_context(parrot(port, logs / "killed.log"))
        async with agent_in_a_room(port=port) as agent, agent.caller() as caller:
            assert await hear_themselves(caller)
            shaken: list[str] = []
            for room in (agent.room, caller.room):
                room.on("reconnecting", partial(shaken.append, room.name))
            first.process.kill()
            await until(lambda: caller.agent_attributes.get("moshi.trouble") == LOST, PATIENCE_S)
            await asyncio.to_thread(engines.enter_context, parrot(port, logs / "again.log"))
            await until(lambda: len(agent.engine.opened) == 2, PATIENCE_S)
            await until(lambda: not caller.agent_attributes.get("moshi.trouble"), PATIENCE_S)
            # While it is said aloud that this is a new conversation, nobody is heard.
            assert await hear_themselves(caller)
            assert agent.engine.opened == ["new", "new"]
            assert notices(caller) == [LOST, NEW] or shaken, "text is lost where a room reconnects"


@contextmanager
def parrot(port: int, log: Path) -> Iterator[Running]:
    """An engine of one's own."""
    options = ("--slots", "1", "--port", str(port), "--allow-slower-than-real-time")
    with running(python("engine", "serve", "--checkpoint", "parrot", *options), log) as engine:
        wait_for(engine, lambda: get(f"http://127.0.0.1:{port}/readyz"))
        yield engine


async def test_an_agent_that_may_not_speak_writes_until_it_may(
    agent_in_a_room: Open,
) -> None:
    async with agent_in_a_room() as agent, agent.caller() as caller:
        assert await hear_themselves(caller)
        await listened_to(caller)
        await agent.permit(False)
        await until(lambda: caller.agent_attributes.get("moshi.trouble") == UNHEARD, PATIENCE_S)
        assert not await hear_themselves(caller, takes=1)
        await until(lambda: notices(caller) == [UNHEARD] and caller.segments[-1].text != UNHEARD, PATIENCE_S)
        await agent.permit(True)
        await until(lambda: not caller.agent_attributes.get("moshi.trouble"), PATIENCE_S)
        assert await hear_themselves(caller)
        assert agent.engine.opened == ["new"]


async def test_a_caller_without_a_microphone_is_told_so(agent_in_a_room: Open) -> None:
    async with agent_in_a_room() as agent:
        listener, told = rtc.Room(), []
        listener.register_text_stream_handler(TOPIC, lambda reader, _who: told.append(reader))
        await listener.connect(agent.settings.livekit_url, agent.token("ada"))
        await until(lambda: told, PATIENCE_S)
        assert await told[0].read_all() == NO_MICROPHONE
        (shown,) = (person.attributes for person in listener.remote_participants.values())
        assert shown["moshi.trouble"] == NO_MICROPHONE
        await listener.disconnect()


async def test_a_livekit_server_that_is_killed_and_started_again_costs_a_moment(
    engine_port: int, tmp_path: Path
) -> None:
    port, configuration = free_port(), tmp_path / "livekit.yaml"
    configuration.write_text(livekit_configuration(port, free_port(SOCK_DGRAM)))
    command = [livekit_binary(), "--config", str(configuration)]

    def start(log: str) -> Running:
        server = servers.enter_context(running(command, tmp_path / log))
        wait_for(server, lambda: get(f"http://127.0.0.1:{port}/"))
        return server

    with ExitStack() as servers:
        server = await asyncio.to_thread(start, "first.log")
        livekit = LiveKitSettings(
            livekit_url=f"ws://127.0.0.1:{port}", livekit_api_key=KEY, livekit_api_secret=SecretStr(SECRET)
        )
        async with rooms_of(livekit, engine_port)() as agent, agent.caller() as caller:
            assert await hear_themselves(caller)
            back = [asyncio.Event() for _ in range(2)]
            agent.room.once("reconnected", back[0].set)
            caller.room.once("reconnected", back[1].set)
            server.process.kill()
            await asyncio.to_thread(server.process.wait)
            await asyncio.to_thread(start, "second.log")
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(each.wait() for each in back))
            assert await hear_themselves(caller)
            assert agent.engine.opened == ["new"]
