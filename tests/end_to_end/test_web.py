"""The worker's page as an app meets it: asks for a call, joins where it is told, hears the model."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from livekit import api

from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.processes import Running
from tests.end_to_end.takes import hear_themselves
from tests.worker.waiting import until
from worker.caller.caller import Caller
from worker.settings import LiveKitSettings
from worker.signs import attributes

SLOTS = 1
PARROT = {
    "OMP_NUM_THREADS": "1",
    "ENGINE_CHECKPOINT": "parrot",
    "ENGINE_SLOTS": str(SLOTS),
    "ENGINE_PORT": "0",
    "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1",
}


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Iterator[Running]:
    """A worker of its own with one seat, whose rooms have to name it."""
    with start_worker("dev", "web", **PARROT) as worker:
        yield worker


@pytest.fixture
async def page(worker: Running) -> AsyncIterator[aiohttp.ClientSession]:
    """What talks to the page's address."""
    found = re.search(r"web page url=(\S+)", worker.said())
    assert found, worker.said()
    async with aiohttp.ClientSession(found[1]) as session:
        yield session


async def ask(page: aiohttp.ClientSession, **wanted: object) -> dict[str, Any]:
    """A call, once there is a seat for it: the last caller's is free a moment after they left."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        async with page.post("/api/call", json=wanted) as answer:
            body: dict[str, Any] = await answer.json()
            if answer.status == 200:
                return body
            assert time.monotonic() < deadline, body
        await asyncio.sleep(0.5)


def server_of(livekit: LiveKitSettings) -> api.LiveKitAPI:
    secret = livekit.livekit_api_secret.get_secret_value()
    return api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret)


async def test_a_call_by_way_of_the_page_is_answered_and_measured(
    page: aiohttp.ClientSession, worker: Running
) -> None:
    described = await (await page.get("/api/call")).json()
    assert described["model"] == "parrot"
    assert {"temperature", "seed"} <= set(described["settings"])
    call = await ask(page, temperature=0, seed=7)
    assert call["url"] == str(page._base_url).replace("http", "ws").rstrip("/"), "one origin is enough"
    async with Caller.enter(call["url"], call["token"]) as caller:
        await caller.wait_for_agent(PATIENCE_S)
        assert await hear_themselves(caller)
        async with asyncio.timeout(15):
            while not caller.latencies:
                await asyncio.sleep(0.05)
        latency = caller.latencies[-1]
        assert latency["frames"] > 0
        assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
        shown = caller.agent_attributes
    assert shown["moshi.model"] == "parrot"
    assert int(shown["moshi.model_delay_ms"]) >= 80
    assert shown["moshi.text_input"] == "false"
    assert shown["moshi.notice"] == described["notice"]


async def test_nobody_sits_in_a_silent_room_when_the_house_is_full(page: aiohttp.ClientSession) -> None:
    call = await ask(page)
    async with Caller.enter(call["url"], call["token"]) as caller:
        await caller.wait_for_agent(PATIENCE_S)
        async with page.post("/api/call", json={}) as answer:
            refusal = await answer.json()
        assert (answer.status, refusal["error"]) == (503, "full")
        assert int(answer.headers["Retry-After"]) > 0
        assert not caller.agent_left.is_set(), "the call that is on is none of this"


async def test_who_comes_back_meets_an_agent_under_the_same_name(page: aiohttp.ClientSession) -> None:
    first = await ask(page)
    async with Caller.enter(first["url"], first["token"]) as caller:
        await caller.wait_for_agent(PATIENCE_S)
        # As a page that is closed: who hangs up ends the call.
        await caller.room.disconnect()
    second = await ask(page, call=first["token"])
    assert second["identity"] == first["identity"]
    # Not the same to the letter where a second attempt was needed.
    assert second["room"].split("-")[:2] == first["room"].split("-")[:2]
    async with Caller.enter(second["url"], second["token"]) as caller:
        await caller.wait_for_agent(PATIENCE_S)
        assert await hear_themselves(caller)
        assert not caller.agent_left.is_set()


async def test_a_caller_cannot_seem_to_be_somebody_else(
    page: aiohttp.ClientSession, livekit: LiveKitSettings
) -> None:
    call = await ask(page)
    seen = api.RoomParticipantIdentity(room=call["room"], identity=call["identity"])
    async with Caller.enter(call["url"], call["token"]) as caller:
        me = caller.room.local_participant
        # The server refuses without a word to some of these.
        with suppress(Exception):
            await me.set_attributes({"sip.phoneNumber": "1"})
        with suppress(Exception):
            await me.set_name("Moshi")
        async with server_of(livekit) as server:
            them = await server.room.get_participant(seen)
        assert (dict(them.attributes), them.name) == ({}, "")
        assert not them.permission.can_update_metadata
        # The seat of a conversation that never began would be theirs for a while.
        await until(lambda: attributes.MODEL in caller.agent_attributes, PATIENCE_S)


async def test_a_room_that_nobody_enters_gives_its_seat_back(page: aiohttp.ClientSession) -> None:
    await ask(page)
    await ask(page)
