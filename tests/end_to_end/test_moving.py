"""A live conversation goes on at another engine: two real engines with the parrot, and the worker's link."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.client import EngineClient
from engine.protocol import Audio, SessionRequest, Text
from tests.end_to_end.conftest import PEER_TOKEN
from tests.end_to_end.processes import Running, free_port, get, python, running, wait_for
from tests.end_to_end.takes import hear_themselves
from tests.end_to_end.test_reconnects import Open, answered_frames, notices
from tests.end_to_end.test_reconnects import agent_in_a_room as agent_in_a_room
from worker.caller import sound_files
from worker.conversation.engine_link import EngineLink, Event, Followed, Opened

FRAMES, MOVED_AT, LAST_WORDS_AT = 60, 15, 50
START_TIMEOUT_S = 120.0
REQUEST = SessionRequest(room="lobby", identity="agent", seed=7, temperature=0.8, temperature_text=0.8)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Engines:
    """Rose, whose calls move, and lily."""

    rose: Running
    urls: dict[str, str]
    admin: Path


@pytest.fixture
def engines(tmp_path: Path, engine_port: int) -> Iterator[Engines]:
    """Lily is the engine of all these tests."""
    port = free_port()
    urls = {"rose": f"ws://127.0.0.1:{port}", "lily": f"ws://127.0.0.1:{engine_port}"}
    admin = tmp_path / "rose.sock"
    options = ("--slots", "2", "--port", str(port), "--allow-slower-than-real-time")
    command = python("engine", "serve", "--checkpoint", "parrot", *options, "--admin-socket", str(admin))
    peers = {"ENGINE_PEERS": f"lily={urls['lily']}", "ENGINE_PEER_TOKEN": PEER_TOKEN}
    with running(command, tmp_path / "rose.log", **peers) as rose:
        wait_for(rose, lambda: get(f"http://127.0.0.1:{port}/readyz"), START_TIMEOUT_S)
        yield Engines(rose, urls, admin)


def speech() -> list[bytes]:
    """FRAMES of 80 ms."""
    samples = sound_files.read(ROOT / "deploy" / "sample.wav", 24_000)
    repeated = np.resize(samples, FRAMES * 1920).astype("<i2")
    return [frame.tobytes() for frame in np.split(repeated, FRAMES)]


async def converse(url: str, peers: dict[str, str], admin: Path | None = None) -> list[Event]:
    """Say it all; in the middle, if there is an `admin`, the engine is emptied. What came back."""
    heard: list[Event] = []
    async with EngineClient(url, peers=peers) as client:
        link = EngineLink(client, REQUEST)

        async def listen() -> None:
            async for event in link:
                heard.append(event)
                if isinstance(event, Audio) and event.frame == FRAMES - 1:
                    await link.end()

        listening = asyncio.create_task(listen())
        emptying: asyncio.Task[str] | None = None
        for frame in speech():
            number = await link.turn()
            if number == MOVED_AT and admin is not None:
                emptying = asyncio.create_task(empty(admin))
            await link.send(frame)
            # A bit faster than it is spoken.
            await asyncio.sleep(0.05)
            if emptying is not None:
                await asyncio.sleep(0.05)
            if number == LAST_WORDS_AT and emptying is not None:
                # A machine that is busy may take long until the command has begun.
                await followed(heard)
        async with asyncio.timeout(60):
            await listening
        if emptying is not None:
            assert "moved to lily" in await emptying
    return heard


async def followed(heard: list[Event]) -> None:
    async with asyncio.timeout(60):
        while not any(isinstance(event, Followed) for event in heard):
            await asyncio.sleep(0.02)


async def empty(admin: Path) -> str:
    """`python -m engine empty`, its words."""
    process = await asyncio.create_subprocess_exec(
        *python("engine", "empty", "--to", "lily", "--admin-socket", str(admin)),
        stdout=asyncio.subprocess.PIPE,
        cwd=admin.parent,  # where there is no .env.local
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


def answers(heard: list[Event]) -> list[tuple[int, bytes]]:
    return [(event.frame, event.pcm) for event in heard if isinstance(event, Audio)]


def words(heard: list[Event]) -> list[Text]:
    return [event for event in heard if isinstance(event, Text)]


async def test_a_call_in_a_room_goes_on_at_the_other_engine_and_nobody_is_told(
    engines: Engines, agent_in_a_room: Open, engine_port: int
) -> None:
    rose = int(engines.urls["rose"].rpartition(":")[2])
    async with agent_in_a_room(port=rose, peers=engines.urls) as agent, agent.caller() as caller:
        assert await hear_themselves(caller)
        before = await answered_frames(engine_port)
        assert "moved to lily" in await empty(engines.admin)
        assert await hear_themselves(caller)
        assert await answered_frames(engine_port) > before, "it is lily who answers"
        engines.rose.ask_to_stop()
        assert await asyncio.to_thread(engines.rose.exit_code) == 0
        assert await hear_themselves(caller)
        assert agent.engine.opened == ["new"]
        assert notices(caller) == []


async def test_a_conversation_that_moves_is_the_same_sample_by_sample_as_one_that_stays(
    engines: Engines,
) -> None:
    stayed = await converse(engines.urls["rose"], {})
    moved = await converse(engines.urls["rose"], engines.urls, engines.admin)
    told = [type(event) for event in moved if not isinstance(event, Audio | Text)]
    assert told == [Opened, Followed], "nothing was interrupted"
    at = next(place for place, event in enumerate(moved) if isinstance(event, Followed))
    assert 0 < len(answers(moved[:at])) < FRAMES, "it spoke at both engines"
    assert [frame for frame, _ in answers(moved)] == list(range(FRAMES))
    assert answers(moved) == answers(stayed)
    assert words(moved) == words(stayed)
    assert words(stayed), "the parrot says words"
    assert (get(f"{engines.urls['rose'].replace('ws', 'http')}/readyz")) is None, "it takes no new calls"
    engines.rose.ask_to_stop()
    assert engines.rose.exit_code() == 0
