"""Voices and roles over the wire; how often a prompt is run."""

import asyncio

import aiohttp
import numpy as np
import pytest

from engine.checkpoint.random_weights import tiny_personaplex
from engine.errors import SessionError
from engine.persona.prompt import Personas
from engine.persona.voice import Voice
from engine.protocol import MAX_PROMPT_CHARACTERS, Audio, SessionRequest
from tests.engine.service.conftest import RunningEngine, StartEngine

CONFIG = tiny_personaplex()
VOICE = Voice.saying(np.ones((8, 9), np.int64), CONFIG)


def personas(**usual: str) -> Personas:
    return Personas(CONFIG, lambda text: [7] * len(text.split()), {"ann": VOICE, "bob": VOICE}, **usual)


async def call(engine: RunningEngine, request: SessionRequest) -> None:
    """As long as one frame."""
    session = await engine.client.open(request)
    await session.send(bytes(3840))
    async for event in session:
        if isinstance(event, Audio):
            await session.end()
    await session.close()


async def runs(engine: RunningEngine, request: SessionRequest) -> list[str]:
    """What was asked of the model for a call."""
    before = len(engine.runner.calls)
    await call(engine, request)
    return engine.runner.calls[before:]


FIRST, SECOND, LATER = (
    ["prefill", "step"],
    ["prefill", "lift", "prefill", "step"],
    ["restore", "prefill", "step"],
)


async def test_who_comes_after_the_second_of_a_voice_and_a_role_does_not_wait_for_a_prompt(
    start_engine: StartEngine,
) -> None:
    async with start_engine(personas=personas()) as engine:
        ann, bob = (SessionRequest(voice=name, prompt="be kind") for name in ("ann", "bob"))
        assert await runs(engine, ann) == FIRST
        assert await runs(engine, bob) == FIRST
        assert await runs(engine, SessionRequest(voice="ann", prompt=" be kind", seed=7)) == SECOND
        assert await runs(engine, ann) == LATER
        assert await runs(engine, SessionRequest(voice="ann")) == FIRST
        assert await runs(engine, bob) == SECOND
        assert await runs(engine, ann) == LATER
        assert await runs(engine, SessionRequest()) == ["join", "step"]


async def test_without_room_for_it_each_runs_its_own(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas(), prompt_cache_mib=0) as engine:
        for _ in range(3):
            assert await runs(engine, SessionRequest(voice="ann")) == FIRST


async def test_a_prompt_that_cannot_be_kept_costs_no_session(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas()) as engine:
        await call(engine, SessionRequest(voice="ann"))
        engine.runner.no_memory = True
        assert await runs(engine, SessionRequest(voice="ann")) == ["prefill", "prefill", "step"]
        engine.runner.no_memory = False
        assert await runs(engine, SessionRequest(voice="ann")) == SECOND


async def test_who_hangs_up_while_a_prompt_is_kept_leaves_it_to_the_next(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas(), slots=1) as engine:
        await call(engine, SessionRequest(voice="ann"))
        engine.runner.copied.clear()
        session = await engine.client.open(SessionRequest(voice="ann"))
        async with asyncio.timeout(20):
            while "lift" not in engine.runner.calls:
                await asyncio.sleep(0.01)
        await session.end()
        await session.close()
        engine.runner.copied.set()
        assert await runs(engine, SessionRequest(voice="ann")) == SECOND
        assert await runs(engine, SessionRequest(voice="ann")) == LATER


async def test_a_session_whose_prompt_does_not_come_back_is_told_so(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas()) as engine:
        for _ in range(2):
            await call(engine, SessionRequest(voice="ann"))
        engine.runner.no_memory = True
        session = await engine.client.open(SessionRequest(voice="ann"))
        told = [str(event) async for event in session]
        assert "could not begin" in "".join(told)
        engine.runner.no_memory = False
        assert await runs(engine, SessionRequest(voice="ann")) == SECOND


async def test_what_is_asked_for_is_checked_and_answered_with_what_there_is(
    start_engine: StartEngine,
) -> None:
    async with start_engine(personas=personas()) as engine:
        for request, fault in (
            (SessionRequest(voice="eve"), "no voice is called 'eve'; this engine has ann, bob"),
            (SessionRequest(prompt="word " * 90), "has 92 tokens, and 88 fit"),
            (SessionRequest(prompt="x" * (MAX_PROMPT_CHARACTERS + 1)), "characters"),
        ):
            with pytest.raises(SessionError, match=fault):
                await engine.client.open(request)
        assert engine.runner.calls == []


async def test_the_longest_prompt_travels_whatever_its_letters(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas()) as engine:
        assert await runs(engine, SessionRequest(prompt="\U0001f600" * MAX_PROMPT_CHARACTERS)) == FIRST


async def test_the_models_card_names_its_voices(start_engine: StartEngine, engine: RunningEngine) -> None:
    async with start_engine(personas=personas()) as told:
        card = await told.client.model()
    assert card.voices == ("ann", "bob")
    assert card.settings[-2:] == ("voice", "prompt")
    plain = await engine.client.model()
    assert plain.voices == ()
    assert "voice" not in plain.settings


async def test_personaplexs_client_chooses_by_its_own_names(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas()) as engine, aiohttp.ClientSession() as http:
        query = {"voice_prompt": "ann.pt", "text_prompt": "be kind", "format": "pcm_f32le"}
        async with http.ws_connect(f"{engine.http}/api/chat", params=query) as socket:
            await socket.send_bytes(bytes(4 * 1920))
            await socket.receive(timeout=20)
        assert engine.runner.calls[:1] == FIRST[:1]
        assert await runs(engine, SessionRequest(voice="ann", prompt="be kind")) == SECOND


async def test_the_operators_choice_is_for_whoever_makes_none(start_engine: StartEngine) -> None:
    async with start_engine(personas=personas(voice="bob")) as engine:
        assert await runs(engine, SessionRequest()) == FIRST
        assert await runs(engine, SessionRequest(voice="bob")) == SECOND
        assert await runs(engine, SessionRequest()) == LATER
