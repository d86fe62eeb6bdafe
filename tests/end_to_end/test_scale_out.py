"""Two LiveKit servers that are one by their Redis, each with a worker and an engine."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from engine.client import EngineClient
from tests.end_to_end.conftest import PATIENCE_S, environment, livekit_server
from tests.end_to_end.processes import (
    START_TIMEOUT_S,
    Running,
    free_port,
    get,
    python,
    running,
    status_and_text,
    wait_for,
)  # fmt: skip
from tests.end_to_end.redis import redis
from tests.end_to_end.takes import hear_themselves
from worker.caller.caller import Caller, new_room
from worker.seats import BUSY_LOAD, FULL_LOAD
from worker.settings import LiveKitSettings

SEATS = 2
AGENT = "spread"

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True, slots=True)
class Node:
    """A LiveKit server, and the worker and engine that belong to it."""

    livekit: LiveKitSettings
    engine: Running
    engine_url: str
    worker: Running
    health_url: str
    ready_url: str

    async def taken(self) -> int:
        """Seats of the engine that are in calls."""
        async with EngineClient(self.engine_url) as engine:
            return (await engine.seats()).in_calls

    async def told(self, taken: int) -> None:
        """Wait until so many seats are taken, and the worker has said so to LiveKit."""
        load = FULL_LOAD if taken == SEATS else BUSY_LOAD * taken / SEATS
        async with asyncio.timeout(2 * PATIENCE_S):
            while await self.taken() != taken or abs(await self._load() - load) > 0.01:
                await asyncio.sleep(0.1)

    async def _load(self) -> float:
        said = await asyncio.to_thread(get, f"{self.health_url}/worker")
        return float(json.loads(said or "{}").get("worker_load", -1.0))


@contextmanager
def two_nodes(folder: Path) -> Iterator[list[Node]]:
    """They have a Redis in common, and nothing else. Both start at the same time."""
    with ExitStack() as parts:

        def start(name: str, command: list[str], **settings: str) -> Running:
            return parts.enter_context(running(command, folder / f"{name}.log", **settings))

        more = f"redis:\n  address: {parts.enter_context(redis(folder))}\n"
        servers = [parts.enter_context(livekit_server(folder / f"livekit-{name}", more)) for name in "ab"]
        urls = [f"ws://127.0.0.1:{free_port()}" for _ in servers]
        engines = []
        for url in urls:
            port = url.rpartition(":")[2]
            options = ("--slots", str(SEATS), "--port", port, "--allow-slower-than-real-time")
            engines.append(start(f"engine-{port}", python("engine", "serve", *options)))
        for engine, url in zip(engines, urls, strict=True):
            wait_for(engine, partial(get, f"{url.replace('ws:', 'http:')}/readyz"), 2 * START_TIMEOUT_S)
        nodes = []
        for server, engine, url in zip(servers, engines, urls, strict=True):
            livekit = server.model_copy(update={"livekit_agent_name": AGENT})
            health, numbers = free_port(), free_port()
            ports = {"WORKER_PORT": str(health), "WORKER_WEB_PORT": "0", "WORKER_METRICS_PORT": str(numbers)}
            settings = environment(livekit) | ports | {"ENGINE_URL": url}
            worker = start(f"worker-{health}", python("worker", "start"), **settings)
            addresses = (f"http://127.0.0.1:{health}", f"http://127.0.0.1:{numbers}/readyz")
            nodes.append(Node(livekit, engine, url, worker, *addresses))
        for node in nodes:
            wait_for(node.worker, partial(_registered, node.worker), 2 * START_TIMEOUT_S)
        yield nodes


def _registered(worker: Running) -> bool:
    return "registered worker" in worker.said()


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody in a call, and the node whose seat that takes."""

    caller: Caller
    at: Node
    line: AsyncExitStack

    @classmethod
    async def begin(cls, through: Node, nodes: Sequence[Node]) -> Self:
        """A caller who comes to that server; who takes the call is found out, and told LiveKit."""
        before = [await each.taken() for each in nodes]
        async with AsyncExitStack() as line:
            caller = await line.enter_async_context(Caller.join(through.livekit, new_room()))
            await caller.wait_for_agent(PATIENCE_S)
            async with asyncio.timeout(PATIENCE_S):
                while sum(now := [await each.taken() for each in nodes]) <= sum(before):
                    await asyncio.sleep(0.1)
            (at,) = (each for each, old, new in zip(nodes, before, now, strict=True) if new > old)
            await at.told(await at.taken())
            kept = line.pop_all()
        return cls(caller, at, kept)


async def test_calls_take_every_seat_of_two_servers_and_one_half_is_emptied_without_a_call_that_ends(
    tmp_path: Path,
) -> None:
    with two_nodes(tmp_path) as nodes:
        first, second = nodes
        async with AsyncExitStack() as until_the_end:
            calls = []
            for through in (first, first, second, second):
                calls.append(await Call.begin(through, nodes))
                until_the_end.push_async_callback(calls[-1].line.aclose)
            assert Counter(call.at.engine_url for call in calls) == dict.fromkeys(
                (first.engine_url, second.engine_url), SEATS
            )

            stays, goes = (call for call in calls if call.at is first)
            (also_goes, _) = (call for call in calls if call.at is second)
            for call in (goes, also_goes):
                await call.line.aclose()
                await call.at.told(SEATS - 1)
            # As a pod is ended: worker and engine are asked at the same time.
            first.worker.ask_to_stop()
            first.engine.ask_to_stop()
            wait_for(first.worker, lambda: "draining worker" in first.worker.said())
            assert status_and_text(first.ready_url) == (503, "draining: it takes no new calls\n")
            assert status_and_text(second.ready_url) == (200, "ready\n")
            comes = await Call.begin(first, [second])
            until_the_end.push_async_callback(comes.line.aclose)
            assert await hear_themselves(stays.caller)
            assert not stays.caller.agent_left.is_set()
            assert first.worker.process.poll() is None
            assert first.engine.process.poll() is None
            await stays.line.aclose()
            for part in (first.worker, first.engine):
                assert await asyncio.to_thread(part.exit_code, 2 * PATIENCE_S) == 0
