import aiohttp
import pytest

from worker.watching.readiness import READY_PATH, Readiness, answering


async def get(port: int | None, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("registered", "draining", "engine", "status", "said"),
    [
        (True, False, True, 200, "ready\n"),
        (False, False, True, 503, "not registered at LiveKit\n"),
        (True, True, True, 503, "draining: it takes no new calls\n"),
        (True, False, False, 503, "the engine does not answer\n"),
    ],
)
async def test_calls_should_come_where_nothing_is_in_the_way_and_else_it_says_what(
    registered: bool, draining: bool, engine: bool, status: int, said: str
) -> None:
    readiness = Readiness(lambda: registered, lambda: draining, lambda: engine)
    async with answering("127.0.0.1", 0, readiness) as port:
        assert await get(port, READY_PATH) == (status, said)


async def test_the_numbers_are_beside_it() -> None:
    async with answering("127.0.0.1", 0, Readiness(lambda: True, lambda: False, lambda: True)) as port:
        status, page = await get(port, "/metrics")
    assert status == 200
    assert "process_start_time_seconds" in page


async def test_who_wants_no_numbers_gets_no_port() -> None:
    async with answering("127.0.0.1", None, Readiness(lambda: True, lambda: False, lambda: True)) as port:
        assert port is None
