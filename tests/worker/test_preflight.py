from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from engine.client import EngineClient
from engine.errors import SettingError, Unauthorized
from tests.fake_engine import FakeEngine, serving
from worker import preflight
from worker.settings import LiveKitSettings

NOBODY = "ws://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "RETRY_S", 0.01)


def livekit_at(url: str) -> LiveKitSettings:
    return LiveKitSettings.load(livekit_url=url, livekit_api_key="key", livekit_api_secret="k" * 32)


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server that gives one answer to everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingError, match=f"no LiveKit server answers at LIVEKIT_URL={NOBODY}"):
        await preflight.check_livekit(livekit_at(NOBODY), patience_s=0.05)


async def test_a_key_that_the_server_does_not_know_is_named() -> None:
    async def unauthorized(_request: web.Request) -> web.Response:
        return web.json_response({"code": "unauthenticated", "msg": "no"}, status=401)

    async with answering(unauthorized) as url:
        with pytest.raises(SettingError, match="does not accept LIVEKIT_API_KEY='key'"):
            await preflight.check_livekit(livekit_at(url), patience_s=5)


async def test_something_that_is_no_livekit_server_is_named() -> None:
    async def not_found(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with answering(not_found) as url:
        with pytest.raises(SettingError, match="is no LiveKit server"):
            await preflight.check_livekit(livekit_at(url), patience_s=5)


async def test_an_engine_that_is_not_there_is_named() -> None:
    async with EngineClient(NOBODY) as engine:
        with pytest.raises(SettingError, match="ENGINE_URL"):
            await preflight.check_engine(engine, patience_s=0.05)


async def test_a_server_that_comes_up_late_is_waited_for() -> None:
    answers = iter([503, 200])

    async def late(request: web.Request) -> web.Response:
        if next(answers) == 503:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(content_type="application/protobuf")

    async with answering(late) as url:
        await preflight.check_livekit(livekit_at(url), patience_s=5)
    assert next(answers, None) is None


async def test_an_engine_that_answers_passes() -> None:
    async with serving(FakeEngine()) as fake, EngineClient(fake.url) as engine:
        await preflight.check_engine(engine, patience_s=5)


async def test_a_wrong_token_is_told_at_once() -> None:
    async def unauthorized(_request: web.Request) -> web.Response:
        return web.json_response(Unauthorized("wrong token").to_wire(), status=401)

    async with answering(unauthorized) as url, EngineClient(url) as engine:
        with pytest.raises(Unauthorized, match="wrong token"):
            await preflight.check_engine(engine, patience_s=5)
