"""A whole engine whose speech to text, of random weights, says numbers. Its conversations are with a fake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from engine.checkpoint import load
from engine.service.server import Shutdown, Transcriber, bound, serve
from engine.service.sessions import ServedModel
from engine.service.transcription import ServedStt
from engine.settings import EngineSettings
from engine.step.build import make_stt_runner
from engine.step.frames import Sampling
from engine.transcript_client import TranscriptClient
from engine.transcript_protocol import Word
from tests.engine.fake_runner import FakeRunner


@asynccontextmanager
async def transcribing(sessions: int = 2, transcribes: bool = True) -> AsyncIterator[str]:
    """Runs the engine; its address."""
    stt = None
    if transcribes:
        model = load("random:tiny-stt", torch.device("cpu"))
        stt = Transcriber(ServedStt.of(model), make_stt_runner(model, sessions), sessions)
    settings, shutdown = EngineSettings.load(port=0), Shutdown()
    fake = ServedModel("fake", 1, Sampling(), piece=lambda _: "")
    with bound(settings) as sockets:
        served = asyncio.create_task(serve(settings, sockets, fake, FakeRunner(), 1, shutdown, stt=stt))
        try:
            yield f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"
        finally:
            shutdown.request()
            shutdown.request()
            assert await asyncio.wait_for(served, 30)


def sound(seconds: float) -> NDArray[np.int16]:
    """Noise that swells, int16 [N] at 24 kHz."""
    generator = np.random.default_rng(0)
    samples = round(24_000 * seconds)
    swelling = 1 + np.sin(np.arange(samples) / 3000)
    noise: NDArray[np.int16] = (generator.normal(0, 2000, samples) * swelling).astype(np.int16)
    return noise


async def words_of(url: str, pcm: NDArray[np.int16]) -> list[str]:
    """What the engine itself tells of it."""
    async with TranscriptClient(url) as client:
        transcript = await client.open()
        await transcript.send(pcm.tobytes())
        await transcript.end()
        return [event.text async for event in transcript if isinstance(event, Word)]
