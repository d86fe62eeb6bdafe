import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from yarl import URL

from tests.worker.web.conftest import Open


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """A LiveKit server's signalling: says what it was asked, repeats what it is told, hangs up on "bye"."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == "wrong":
            return web.Response(status=401, text="no permissions")
        if request.headers.get("Upgrade") is None:
            return web.Response(text=f"{request.raw_path} {request.headers.get('Authorization')}")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.raw_path)
        async for message in socket:
            if message.data == "bye":
                break
            await (socket.send_bytes if message.type is WSMsgType.BINARY else socket.send_str)(message.data)
        await socket.close(code=4003)
        return socket

    app = web.Application()
    app.add_routes([web.get("/{all:.*}", answer)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


def address(server: TestServer) -> str:
    return f"ws://{server.host}:{server.port}"


async def test_messages_pass_both_ways_as_they_are(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    asked = "/rtc/v1?access_token=a.b&join_request=x%2Fy%3D+z"
    async with web.ws_connect(URL(asked, encoded=True)) as socket:
        assert await socket.receive_str() == asked
        await socket.send_bytes(bytes(range(256)) * 1000)
        assert await socket.receive_bytes() == bytes(range(256)) * 1000
        await socket.send_str("offer")
        assert await socket.receive_str() == "offer"


async def test_the_servers_goodbye_arrives_with_its_reason(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    async with web.ws_connect("/rtc") as socket:
        await socket.receive_str()
        await socket.send_str("bye")
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 4003


async def test_what_is_no_socket_is_asked_for_too(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    answer = await web.get("/rtc/validate?access_token=a", headers={"Authorization": "Bearer b"})
    assert await answer.text() == "/rtc/validate?access_token=a Bearer b"


async def test_a_token_that_the_server_refuses_is_refused(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await web.ws_connect("/rtc", headers={"Authorization": "wrong"})
    assert refusal.value.status == 401
    assert (await web.get("/rtc/validate", headers={"Authorization": "wrong"})).status == 401


async def test_an_address_in_the_first_line_leads_nowhere_else(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    reader, writer = await asyncio.open_connection(web.host, web.port)
    writer.write(b"GET http://elsewhere.example/rtc?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"/rtc?a=b None" in answer


async def test_nothing_but_signalling_is_passed_on(server: TestServer, open_web: Open) -> None:
    web = await open_web(livekit_url=address(server))
    for path in ("/twirp/livekit.RoomService/ListRooms", "/rtcother", "/agent"):
        assert (await web.get(path)).status == 404


async def test_a_server_that_is_gone_is_a_bad_gateway(open_web: Open) -> None:
    web = await open_web(livekit_url="ws://127.0.0.1:1")
    assert (await web.get("/rtc/validate")).status == 502
