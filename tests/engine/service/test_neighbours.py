"""A seeded conversation through the whole service, with a real (random) model, alone and in company."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from engine.checkpoint import load
from engine.client import EngineClient
from engine.protocol import Audio, SessionRequest, Text
from engine.service.server import Shutdown, bind, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.step.eager_runner import EagerRunner
from engine.step.moshi_step import MoshiStep

FRAMES = 30


@asynccontextmanager
async def running_engine() -> AsyncIterator[EngineClient]:
    torch.set_num_threads(1)
    settings = EngineSettings.load(port=0, slots=4)
    sockets = bind(settings)
    model = load("random:tiny", torch.device("cpu"))
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, settings.slots), torch.device("cpu"))
    served = ServedModel(model.name, model.lm.config.max_delay, model.sampling, model.tokenizer.piece)
    shutdown = Shutdown()
    task = asyncio.create_task(serve(settings, sockets, served, runner, shutdown))
    async with EngineClient(f"ws://127.0.0.1:{sockets[0].getsockname()[1]}") as client:
        yield client
    shutdown.request()
    await task


def voice(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, (FRAMES, 1920)).astype(np.int16)


async def converse(
    client: EngineClient, seed: int, pause_s: float = 0.0
) -> tuple[list[Text], NDArray[np.int16]]:
    """Speak as caller `seed`, each frame when the one before is answered; what comes back."""
    session = await client.open(SessionRequest(seed=seed))
    text: list[Text] = []
    sound: list[NDArray[np.int16]] = []
    speech = iter(voice(seed))
    await session.send(next(speech).tobytes())
    async for event in session:
        if isinstance(event, Text):
            text.append(event)
        elif isinstance(event, Audio):
            sound.append(np.frombuffer(event.pcm, np.int16))
            frame = next(speech, None)
            if frame is None:
                await session.end()
            else:
                await asyncio.sleep(pause_s)
                await session.send(frame.tobytes())
    return text, np.stack(sound)


async def test_a_seeded_call_is_the_same_whoever_else_is_on() -> None:
    async with running_engine() as client:
        text, sound = await converse(client, seed=1)
        again, *_others = await asyncio.gather(
            converse(client, 1, pause_s=0.001), converse(client, 2), converse(client, 3), converse(client, 4)
        )
        other_text, other_sound = await converse(client, seed=2)
    assert again[0] == text
    assert np.abs(again[1].astype(int) - sound).max() <= 1
    assert other_text != text
    assert np.abs(other_sound.astype(int) - sound).max() > 100
