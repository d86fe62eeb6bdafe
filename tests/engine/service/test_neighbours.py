"""A seeded conversation through the whole service, with a real (random) model, alone and in company."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from engine.checkpoint import load
from engine.client import EngineClient, EngineSession
from engine.protocol import FRAME_BYTES, Audio, Ended, OwnWords, SessionRequest
from engine.service.own_words import WordTokens
from engine.service.server import Shutdown, bound, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.state.snapshot import Done, Snapshot
from engine.step.eager_runner import EagerRunner
from engine.step.frames import OwnFrame, Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep

FRAMES = 30


class Remembering(EagerRunner):
    """Keeps every token of each session, by its seed."""

    def __init__(self, step: MoshiStep, device: torch.device) -> None:
        super().__init__(step, device)
        self.tokens: dict[int, list[list[int]]] = {}
        self._seeds: dict[int, int] = {}
        self._lifted: list[tuple[Snapshot, int]] = []

    def snapshot(self, slot: int) -> tuple[Snapshot, Done]:
        snapshot, done = super().snapshot(slot)
        self._lifted.append((snapshot, self._seeds[slot]))
        return snapshot, done

    def restore(self, slot: int, snapshot: Snapshot) -> Done:
        (self._seeds[slot],) = [seed for lifted, seed in self._lifted if lifted is snapshot]
        return super().restore(slot, snapshot)

    def join(self, joins: Mapping[int, Sampling]) -> None:
        super().join(joins)
        for slot, sampling in joins.items():
            self._seeds[slot] = sampling.seed
            self.tokens[sampling.seed] = []

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        out = super().step(slots, pcm, own)
        rows = np.concatenate([out.text[:, None], out.codes, out.user_codes], axis=1).tolist()
        for slot, row in zip(slots, rows, strict=True):
            self.tokens[self._seeds[slot]].append(row)
        return out


@asynccontextmanager
async def running_engine(slots: int = 4) -> AsyncIterator[tuple[EngineClient, Remembering]]:
    torch.set_num_threads(1)
    settings = EngineSettings.load(port=0, grace_seconds=300)
    model = load("random:tiny", torch.device("cpu"))
    runner = Remembering(MoshiStep(model.mimi, model.lm, slots), torch.device("cpu"))
    delay, piece = model.lm.config.max_delay, model.tokenizer.piece
    served = ServedModel(model.name, delay, model.sampling, piece, words=WordTokens.of(model))
    shutdown = Shutdown()
    with bound(settings) as sockets:
        task = asyncio.create_task(serve(settings, sockets, served, runner, slots, shutdown))
        async with EngineClient(f"ws://127.0.0.1:{sockets[0].getsockname()[1]}") as client:
            yield client, runner
        shutdown.request()
        await task


def voice(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, (FRAMES, 1920)).astype(np.int16)


async def converse(client: EngineClient, seed: int, pause_s: float = 0.0) -> NDArray[np.int16]:
    """Speak as caller `seed`, each frame when the one before is answered; the sound that comes back."""
    session = await client.open(SessionRequest(seed=seed))
    sound: list[NDArray[np.int16]] = []
    speech = iter(voice(seed))
    await session.send(next(speech).tobytes())
    async for event in session:
        if isinstance(event, Audio):
            sound.append(np.frombuffer(event.pcm, np.int16))
            frame = next(speech, None)
            if frame is None:
                await session.end()
            else:
                await asyncio.sleep(pause_s)
                await session.send(frame.tobytes())
    return np.stack(sound)


async def test_a_seeded_call_is_the_same_whoever_else_is_on() -> None:
    async with running_engine() as (client, runner):
        sound = await converse(client, seed=1)
        alone = runner.tokens[1]
        again, *_others = await asyncio.gather(
            converse(client, 1, pause_s=0.001), converse(client, 2), converse(client, 3), converse(client, 4)
        )
    assert runner.tokens[1] is not alone
    assert runner.tokens[1] == alone
    assert (len(alone), len(alone[0])) == (FRAMES, 17)
    assert np.array_equal(again, sound)
    assert runner.tokens[2] != alone


async def test_words_that_are_given_to_a_call_are_its_own_and_change_no_other() -> None:
    async def give_words(client: EngineClient) -> None:
        session = await client.open(SessionRequest(seed=2))
        frames = iter(zip(voice(2), voice(9), strict=True))
        heard, said = next(frames)
        await session.say(OwnWords(said.tobytes(), "one more"))
        await session.send(heard.tobytes())
        async for event in session:
            if isinstance(event, Audio):
                assert event.pcm == bytes(FRAME_BYTES)
                try:
                    heard, said = next(frames)
                except StopIteration:
                    await session.end()
                else:
                    await session.say(OwnWords(said.tobytes()))
                    await session.send(heard.tobytes())

    async with running_engine() as (client, runner):
        assert (await client.model()).own_words
        sound = await converse(client, seed=1)
        alone = runner.tokens[1]
        again, _ = await asyncio.gather(converse(client, 1), give_words(client))
    assert runner.tokens[1] is not alone
    assert runner.tokens[1] == alone
    assert np.array_equal(again, sound)
    # The last padding, two words of the lengths that random weights have for words, and padding.
    assert [row[0] for row in runner.tokens[2]] == [0, 7, 8, *[3] * (FRAMES - 3)]


async def test_a_seeded_call_that_was_put_aside_goes_on_as_if_nothing_had_happened() -> None:
    speech, mine = voice(1), SessionRequest(room="lobby", identity="ann", seed=1)

    async def talk(session: EngineSession, frames: range) -> list[bytes]:
        heard = []
        for frame in frames:
            await session.send(speech[frame].tobytes())
            async for event in session:
                if isinstance(event, Audio):
                    heard.append(event.pcm)
                    break
        return heard

    async with running_engine(slots=1) as (client, runner):
        session = await client.open(mine)
        unbroken = await talk(session, range(12))
        await session.end()
        assert [event async for event in session][-1:] == [Ended("hang_up")]
        alone = runner.tokens[1]
        session = await client.open(mine)
        broken = await talk(session, range(5))
        await session.close()
        while not (await client.seats()).held:
            await asyncio.sleep(0.01)
        other = await client.open(SessionRequest(seed=2))
        await talk(other, range(3))
        await other.end()
        assert [event async for event in other][-1:] == [Ended("hang_up")]
        session = await client.open(mine, resume=session.ready.resume)
        broken += await talk(session, range(5, 12))
    assert (runner.tokens[1], len(alone)) == (alone, 12)
    assert runner.tokens[1] is not alone
    assert broken == unbroken
