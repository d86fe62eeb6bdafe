from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from livekit import api

from engine.client import EngineClient
from tests.fake_engine import FakeEngine, serving
from tests.worker.web.fake_livekit import FakeLiveKit
from worker.settings import WorkerSettings
from worker.web import calls as calls_module
from worker.web.app import build_app
from worker.web.calls import Calls
from worker.web.door import Door
from worker.web.phones import Phones
from worker.web.signalling import Signalling
from worker.web.webhook import Webhook

KEY, SECRET = "key", "a secret that is long enough for HMAC"


@dataclass
class Desk:
    """What the endpoint works with, for a test to change."""

    engine: FakeEngine
    livekit: FakeLiveKit = field(default_factory=FakeLiveKit)
    page: Path = Path("page")
    full: bool = False
    counted: list[str] = field(default_factory=list)


Open = Callable[..., Any]


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(calls_module, "AGENT_WITHIN_S", 0.3)
    monkeypatch.setattr(calls_module, "POLL_S", 0.01)
    async with serving(FakeEngine()) as engine:
        yield Desk(engine)


@pytest.fixture
async def open_web(desk: Desk) -> AsyncIterator[Open]:
    """Opens the web server on this machine with these settings; what talks to it."""
    clients: list[TestClient[Any, Any]] = []
    engine, http = EngineClient(desk.engine.url), aiohttp.ClientSession()

    async def open_web(**given: Any) -> TestClient[Any, Any]:
        livekit_key = {"livekit_api_key": KEY, "livekit_api_secret": SECRET}
        settings = WorkerSettings.load(**livekit_key | given)
        livekit = cast(api.LiveKitAPI, desk.livekit)
        app = build_app(
            settings,
            engine,
            Calls(settings, livekit, lambda: desk.full),
            Door(settings, clock=lambda: 0.0),
            Signalling(settings.livekit_url, http),
            Webhook(settings, Phones(settings.livekit_agent_name, livekit)),
            desk.page,
            desk.counted.append,
        )
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield open_web
    for client in clients:
        await client.close()
    await engine.close()
    await http.close()
