"""Clients that break every rule of the session protocol: nobody else's session is touched."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from engine.client import EngineSession
from engine.errors import EngineFull, SessionGone, TooManySessions
from engine.protocol import Audio, SessionRequest
from tests.engine.service.conftest import RunningEngine, StartEngine

FRAME = b"\3\4" * 1920
TEXTS = (
    "",
    "\u0000",
    "{}",
    "[]",
    "null",
    "[" * 5000,
    '{"type": null}',
    '{"type": "pau',
    '{"type": "pause"}',
    '{"type": "end"}',
    '{"type": "end", "x": 1}',
    '{"type": "resume"}',
    '{"type": "orphan"}',
    '{"type": "report"}',
    '{"type": "report", "frame": 1e99, "worker_us": 0, "playout_us": 0}',
    '{"type": "report", "frame": 4294967295, "worker_us": 0, "playout_us": 4294967295, "jitter_us": null}',
)


@asynccontextmanager
async def neighbour(engine: RunningEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A well-behaved call: what is yielded says a frame and checks that exactly that comes back."""
    session = await engine.client.open(SessionRequest(room="quiet", identity="neighbour"))
    frames = iter(range(1000))

    async def still_served() -> None:
        number = next(frames)
        pcm = bytes([number % 256]) + FRAME[1:]
        await session.send(pcm)
        assert await next_answer(session) == (number, pcm)

    await still_served()
    yield still_served
    await still_served()


async def next_answer(session: EngineSession) -> tuple[int, bytes]:
    async with asyncio.timeout(60):
        async for event in session:
            if isinstance(event, Audio):
                return event.frame, event.pcm
    raise AssertionError("the session ended")


async def all_seats_free_but(engine: RunningEngine, calls: int) -> None:
    async with asyncio.timeout(60):
        while True:
            seats = await engine.client.seats()
            if (seats.in_calls, seats.held) == (calls, 0):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", range(8))
async def test_messages_without_sense(start_engine: StartEngine, seed: int) -> None:
    rough = random.Random(seed)

    async def misbehave(http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(f"{engine.url}/v1/session", headers=headers(rough)) as socket:
            for _ in range(rough.randrange(1, 30)):
                try:
                    if rough.random() < 0.5:
                        await socket.send_bytes(rough.randbytes(rough.choice([0, 1, 3, 1920, 3841, 20_000])))
                    else:
                        await socket.send_str(rough.choice(TEXTS))
                except ConnectionError:
                    return
                await asyncio.sleep(0)

    async with (
        start_engine(slots=4, grace_seconds=0.3) as engine,
        aiohttp.ClientSession() as http,
        neighbour(engine) as still_served,
    ):
        for _ in range(5):
            await asyncio.gather(*(misbehave(http) for _ in range(2)))
            await still_served()
        await all_seats_free_but(engine, 1)


def headers(rough: random.Random) -> dict[str, str]:
    return {"Moshi-Room": f"room-{rough.randrange(3)}", "Moshi-Identity": "rough"}


HANDSHAKE = (
    b"GET /v1/session HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("seed", range(8))
async def test_bytes_that_are_no_websocket(start_engine: StartEngine, seed: int) -> None:
    rough = random.Random(seed)

    async def misbehave() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(engine.url.rsplit(":", 1)[1]))
        writer.write(HANDSHAKE if rough.random() < 0.8 else HANDSHAKE[: rough.randrange(len(HANDSHAKE))])
        writer.write(rough.randbytes(rough.randrange(1, 5000)))
        try:
            await writer.drain()
            await asyncio.sleep(rough.random() / 50)
            if rough.random() < 0.5:
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 0.2)
        except (ConnectionError, TimeoutError):
            pass
        writer.transport.abort()

    async with start_engine(slots=4, grace_seconds=0.3) as engine, neighbour(engine) as still_served:
        for _ in range(5):
            await asyncio.gather(*(misbehave() for _ in range(2)))
            await still_served()
        await all_seats_free_but(engine, 1)


@pytest.mark.parametrize("size", [256 * 1024 + 1, 1 << 20])
@pytest.mark.parametrize("binary", [True, False])
async def test_messages_that_are_too_large(start_engine: StartEngine, size: int, binary: bool) -> None:
    async with (
        start_engine(slots=2) as engine,
        aiohttp.ClientSession() as http,
        neighbour(engine) as still_served,
    ):
        async with http.ws_connect(f"{engine.url}/v1/session") as socket:
            await socket.receive_json()
            if binary:
                await socket.send_bytes(bytes(size))
            else:
                await socket.send_str("x" * size)
            async with asyncio.timeout(60):
                while (await socket.receive()).type != aiohttp.WSMsgType.CLOSED:
                    pass
        await still_served()
        await all_seats_free_but(engine, 1)


async def test_callers_who_come_and_go_without_a_word(start_engine: StartEngine) -> None:
    async with (
        start_engine(slots=3, held_sessions=12, grace_seconds=0.3) as engine,
        aiohttp.ClientSession() as http,
        neighbour(engine) as still_served,
    ):
        for number in range(12):
            socket = await http.ws_connect(f"{engine.url}/v1/session")
            if number % 3 == 0:
                await socket.send_bytes(FRAME)
            if number % 3 == 1:
                await socket.send_str('{"type": "pause"}')
            socket._conn.transport.abort()  # type: ignore[union-attr]  # as a cable that is pulled
            await still_served()
        await all_seats_free_but(engine, 1)


@pytest.mark.parametrize("seed", range(4))
async def test_callers_who_leave_return_and_steal_all_the_time(start_engine: StartEngine, seed: int) -> None:
    """Whatever is paused, lost, taken over, lifted and restored: at the end nothing is left over."""
    rough = random.Random(seed)

    async def restless(number: int) -> None:
        request = SessionRequest(room=f"r{number}", identity="restless")
        token, said = "", 0
        for _ in range(12):
            try:
                session = await engine.client.open(request, resume=token or None)
            except SessionGone:
                token = ""
                continue
            except (EngineFull, TooManySessions):
                await asyncio.sleep(0.02)
                continue
            if token:
                assert session.ready.frame == said
            token, said = session.ready.resume, session.ready.frame
            for _ in range(rough.randrange(3)):
                pcm = rough.randbytes(3840)
                await session.send(pcm)
                async for event in session:
                    if isinstance(event, Audio):
                        assert (event.frame, event.pcm) == (said, pcm)
                        said += 1
                        break
                else:
                    break
            if rough.random() < 0.3:
                await session.pause()
            if rough.random() < 0.2:
                await session.end()
                token, said = "", 0
            await session.close()

    async with start_engine(slots=3, grace_seconds=0.5) as engine, neighbour(engine) as still_served:
        await asyncio.gather(*(restless(number) for number in range(6)))
        await still_served()
        await all_seats_free_but(engine, 1)
        for _ in range(2):
            assert (await engine.client.open(SessionRequest())).ready.session
