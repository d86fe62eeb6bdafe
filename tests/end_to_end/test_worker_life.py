"""A worker's beginning and end: its own engine, the time limit, draining, what it says if it cannot run."""

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.conftest import StartWorker, environment
from tests.end_to_end.processes import ROOT, free_port, get, python, running, wait_for
from tests.end_to_end.sounds import keyed_phrases, share
from worker.caller import Caller, NoAgent, new_room
from worker.settings import LiveKitSettings

ENGINE = {
    "OMP_NUM_THREADS": "1",
    "ENGINE_CHECKPOINT": "parrot",
    "ENGINE_SLOTS": "2",
    "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1",
}
LIMIT_S = 5.0


def calling(livekit: LiveKitSettings, agent: str) -> LiveKitSettings:
    """What somebody uses who wants that agent."""
    return livekit.model_copy(update={"livekit_agent_name": agent})


def children(pid: int) -> list[int]:
    """The engines among the processes that a worker started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"\0serve\0" in stat.with_name("cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return found


async def test_a_worker_with_an_engine_of_its_own_limits_calls_and_dev_ends_them_at_once(
    livekit: LiveKitSettings, start_worker: StartWorker
) -> None:
    port = free_port()
    settings = ENGINE | {"ENGINE_PORT": str(port), "WORKER_MAX_CALL_SECONDS": str(LIMIT_S)}
    with start_worker("dev", "limited", **settings) as worker:
        assert get(f"http://127.0.0.1:{port}/readyz")
        async with Caller.join(calling(livekit, "limited"), new_room()) as caller:
            await caller.wait_for_agent()
            began = time.monotonic()
            await asyncio.wait_for(caller.agent_left.wait(), 30)
            assert time.monotonic() - began > LIMIT_S - 1
            (notice,) = caller.segments
            assert notice.text == "This call ends in 5 seconds."
            assert notice.final
        async with Caller.join(calling(livekit, "limited"), new_room()) as caller:
            await caller.wait_for_agent()
            worker.ask_to_stop()
            await asyncio.wait_for(caller.agent_left.wait(), LIMIT_S)
        assert worker.exit_code() == 0
        assert get(f"http://127.0.0.1:{port}/readyz") is None
        assert '"reason"' not in worker.said(), "dev writes for people"
        assert "reason=max_time" in worker.said()
        assert "reason=worker_stopped" in worker.said()


async def test_start_lets_its_calls_end_and_takes_no_more(
    livekit: LiveKitSettings, start_worker: StartWorker, engine_port: int
) -> None:
    with start_worker("start", "draining", ENGINE_URL=f"ws://127.0.0.1:{engine_port}") as worker:
        async with Caller.join(calling(livekit, "draining"), new_room()) as caller:
            await caller.wait_for_agent()
            worker.ask_to_stop()
            await asyncio.sleep(1)
            (phrase,) = keyed_phrases(1000, 1)
            await caller.say(phrase)
            async with Caller.join(calling(livekit, "draining"), new_room()) as late:
                with pytest.raises(NoAgent):
                    await late.wait_for_agent(2)
            assert share(caller.heard, 1000) > 0.6
            assert not caller.agent_left.is_set()
            assert worker.process.poll() is None
        assert worker.exit_code() == 0
        assert '"reason": "caller_left"' in worker.said()


async def test_livekits_own_command_runs_the_worker_too(
    livekit: LiveKitSettings, logs: Path, engine_port: int
) -> None:
    settings = environment(livekit) | {"LIVEKIT_AGENT_NAME": "theirs", "WORKER_PORT": "0"}
    command = python("livekit.agents", "start", str(ROOT / "worker" / "server.py"))
    engine = f"ws://127.0.0.1:{engine_port}"
    with running(command, logs / "theirs.log", **settings, ENGINE_URL=engine) as worker:
        wait_for(worker, lambda: "registered worker" in worker.said())
        async with Caller.join(calling(livekit, "theirs"), new_room()) as caller:
            await caller.wait_for_agent()


def test_livekits_own_command_ends_where_no_engine_is_named(livekit: LiveKitSettings, logs: Path) -> None:
    settings = environment(livekit) | {"LIVEKIT_AGENT_NAME": "nobody's", "WORKER_PORT": "0"}
    command = python("livekit.agents", "start", str(ROOT / "worker" / "server.py"))
    with running(command, logs / "no-engine.log", **settings) as worker:
        assert worker.exit_code(60) == 2
        assert worker.said().count("ENGINE_URL is not set") == 1
        assert "Traceback" not in worker.said()
        assert "registered worker" not in worker.said()


async def test_a_worker_whose_engine_dies_says_so_and_fails(
    livekit: LiveKitSettings, start_worker: StartWorker
) -> None:
    with start_worker("start", "orphaned", **ENGINE, ENGINE_PORT=str(free_port())) as worker:
        (engine,) = children(worker.process.pid)
        os.kill(engine, signal.SIGKILL)
        assert worker.exit_code() == 1
        assert "error: the engine that this worker started ended with code -9" in worker.said()
        assert "Traceback" not in worker.said()


def test_a_worker_whose_engine_cannot_start_says_so(livekit: LiveKitSettings, logs: Path) -> None:
    settings = environment(livekit) | ENGINE | {"ENGINE_CHECKPOINT": "/no/such/folder", "ENGINE_PORT": "0"}
    with running(python("worker", "start"), logs / "no-model.log", **settings) as worker:
        assert worker.exit_code(60) == 2
        assert "/no/such/folder" in worker.said()
        assert "error: the engine cannot run with these settings" in worker.said()
        assert "Traceback" not in worker.said()


def test_a_worker_whose_health_check_has_no_port_says_so(
    livekit: LiveKitSettings, logs: Path, engine_port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = environment(livekit) | {"WORKER_PORT": port, "LIVEKIT_AGENT_NAME": "second"}
        engine = f"ws://127.0.0.1:{engine_port}"
        with running(python("worker", "start"), logs / "second.log", **settings, ENGINE_URL=engine) as worker:
            assert worker.exit_code() == 2
            assert port in worker.said()
            assert "choose another WORKER_PORT" in worker.said()
            assert "Traceback" not in worker.said()


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (
            {"LIVEKIT_API_SECRET": "another secret of a sufficient length"},
            "does not accept LIVEKIT_API_KEY='testkey'",
        ),
        ({"LIVEKIT_API_KEY": "nobody"}, "does not accept LIVEKIT_API_KEY='nobody'"),
    ],
)
def test_a_worker_that_cannot_work_says_why(
    livekit: LiveKitSettings, logs: Path, wrong: dict[str, str], remedy: str
) -> None:
    with running(python("worker", "start"), logs / "wrong.log", **environment(livekit) | wrong) as worker:
        assert worker.exit_code() == 2
        assert remedy in worker.said()
        assert "Traceback" not in worker.said()
