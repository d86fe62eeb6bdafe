"""A whole engine whose text to speech is a fake, as are its conversations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch

from engine.checkpoint.tts_voices import TtsVoice
from engine.errors import SessionError
from engine.service.server import Shutdown, Speaker, bound, serve
from engine.service.sessions import ServedModel
from engine.service.speeches import ServedTts
from engine.settings import EngineSettings
from engine.step.frames import Sampling
from tests.engine.fake_runner import FakeRunner
from tests.engine.fake_speaker import FakeSpeaker

VOICES = {name: TtsVoice(name, torch.zeros(2, 16)) for name in ("ann", "bob")}


@asynccontextmanager
async def speaking(
    speaker: FakeSpeaker | None = None, sessions: int = 2, speaks: bool = True
) -> AsyncIterator[str]:
    """Runs the engine; its address."""
    tts = None
    if speaks:
        model = ServedTts("fake-tts", VOICES, Sampling(), _check_cfg)
        tts = Speaker(model, speaker or FakeSpeaker(), sessions)
    settings, shutdown = EngineSettings.load(port=0), Shutdown()
    fake = ServedModel("fake", 1, Sampling(), piece=lambda _: "")
    with bound(settings) as sockets:
        served = asyncio.create_task(serve(settings, sockets, fake, FakeRunner(), 1, shutdown, tts=tts))
        try:
            yield f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"
        finally:
            shutdown.request()
            shutdown.request()
            assert await asyncio.wait_for(served, 30)


def _check_cfg(cfg: float | None) -> None:
    if cfg not in (None, 2.0):
        raise SessionError("cfg is 2")
