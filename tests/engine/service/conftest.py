import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from engine.client import EngineClient
from engine.service.server import Shutdown, bound, bound_admin, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.step.frames import Sampling
from tests.engine.fake_runner import FakeRunner

WORDS = {2: " hear", 3: " you"}


@dataclass
class RunningEngine:
    """A whole engine with a fake model, on a free port."""

    url: str
    client: EngineClient
    runner: FakeRunner
    shutdown: Shutdown
    served: "asyncio.Task[bool]"

    @property
    def http(self) -> str:
        return self.url.replace("ws:", "http:")


StartEngine = Callable[..., AbstractAsyncContextManager[RunningEngine]]


@pytest.fixture
def start_engine(monkeypatch: pytest.MonkeyPatch) -> StartEngine:
    monkeypatch.delenv("ENGINE_TOKEN", raising=False)

    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[RunningEngine]:
        slots = options.pop("slots", 2)
        form, stt, tts, personas, words, times = (
            options.pop(name, None) for name in ("form", "stt", "tts", "personas", "words", "times")
        )
        settings = EngineSettings.load(**{"port": 0, **options})
        model = ServedModel(
            "fake",
            1,
            Sampling(),
            piece=lambda token: WORDS.get(token, ""),
            personas=personas,
            words=words,
        )
        runner, shutdown = FakeRunner(), Shutdown()
        with bound(settings) as sockets, bound_admin(settings) as admin:
            url = f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"
            served = asyncio.create_task(
                serve(
                    settings,
                    sockets,
                    model,
                    runner,
                    slots,
                    shutdown,
                    times=times,
                    admin=admin,
                    form=form,
                    stt=stt,
                    tts=tts,
                )
            )
            async with EngineClient(url, options.get("token")) as client:
                yield RunningEngine(url, client, runner, shutdown, served)
            runner.open_gate.set()
            shutdown.request()
            shutdown.request()
            await asyncio.wait_for(served, 60)

    return start


@pytest.fixture
async def engine(start_engine: StartEngine) -> AsyncIterator[RunningEngine]:
    async with start_engine() as running:
        yield running
