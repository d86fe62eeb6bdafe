import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from load_tests.callers.door import TurnedAway, let_in


def page(answer: dict[str, str], status: int = 200) -> TestServer:
    async def call(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer sesame":
            return web.json_response({"error": "unauthorized", "message": "no secret"}, status=401)
        assert await request.json() == {}
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/api/call", call)
    return TestServer(app)


async def test_the_page_says_where_to_go() -> None:
    async with page({"url": "ws://here", "token": "a token", "room": "a room"}) as server:
        assert await let_in(str(server.make_url("/")), "sesame") == ("ws://here", "a token", "a room")


async def test_who_is_turned_away_knows_what_the_page_said() -> None:
    async with page({"error": "full", "message": "all seats are taken"}, 503) as server:
        with pytest.raises(TurnedAway, match=r"^503 full: all seats are taken$"):
            await let_in(str(server.make_url("/")), "sesame")
        with pytest.raises(TurnedAway, match=r"^401 unauthorized: no secret$"):
            await let_in(str(server.make_url("/")))


async def test_where_there_is_no_page_it_is_said() -> None:
    with pytest.raises(TurnedAway, match=r"^no worker's page answers at http://127.0.0.1:9 "):
        await let_in("http://127.0.0.1:9")
