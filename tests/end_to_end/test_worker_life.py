"""A worker's beginning and end: its own engine, the time limit, draining, what it says if it cannot run."""

import asyncio
import os
import re
import signal
import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.level import SPEECH_DB
from tests.end_to_end.conftest import (
    PATIENCE_S,
    StartWorker,
    environment,
    livekit_binary,
    livekit_server,
)  # fmt: skip
from tests.end_to_end.processes import (
    ROOT,
    at_once,
    free_port,
    get,
    python,
    running,
    status_and_text,
    wait_for,
)  # fmt: skip
from tests.end_to_end.sounds import keyed_phrases, share
from tests.end_to_end.takes import hear_themselves
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.caller.lag import envelope
from worker.conversation.sentences import NEW
from worker.settings import LiveKitSettings
from worker.sound.clips import ANEW, ONE_MOMENT, Clip

ENGINE = {
    "OMP_NUM_THREADS": "1",
    "ENGINE_CHECKPOINT": "parrot",
    "ENGINE_SLOTS": "2",
    "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1",
}
LIMIT_S = 5.0
NOTICE_HZ = 400


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
            await caller.wait_for_agent(PATIENCE_S)
            await asyncio.wait_for(caller.agent_left.wait(), PATIENCE_S)
            (notice,) = caller.segments
            assert notice.text == "This call ends in 5 seconds."
            assert notice.final
        async with Caller.join(calling(livekit, "limited"), new_room()) as caller:
            await caller.wait_for_agent(PATIENCE_S)
            worker.ask_to_stop()
            await asyncio.wait_for(caller.agent_left.wait(), PATIENCE_S)
        assert worker.exit_code() == 0
        assert get(f"http://127.0.0.1:{port}/readyz") is None
        assert '"reason"' not in worker.said(), "dev writes for people"
        limited, stopped = re.findall(r"call ended .*reason=(\w+) seconds=([\d.]+)", worker.said())
        assert limited[0] == "max_time"
        assert float(limited[1]) >= LIMIT_S
        assert stopped[0] == "worker_stopped"


async def test_livekits_own_command_runs_the_worker_too(
    livekit: LiveKitSettings, logs: Path, engine_port: int
) -> None:
    numbers = free_port()
    ports = {"WORKER_PORT": "0", "WORKER_METRICS_PORT": str(numbers)}
    settings = environment(livekit) | ports | {"LIVEKIT_AGENT_NAME": "theirs"}
    command = python("livekit.agents", "start", str(ROOT / "worker" / "server.py"))
    engine = f"ws://127.0.0.1:{engine_port}"
    with running(command, logs / "theirs.log", **settings, ENGINE_URL=engine) as worker:
        wait_for(worker, lambda: "registered worker" in worker.said())
        wait_for(worker, lambda: get(f"http://127.0.0.1:{numbers}/readyz"))
        room = new_room()
        async with Caller.join(calling(livekit, "theirs"), room) as caller:
            await caller.wait_for_agent(PATIENCE_S)
        assert "received job request" in worker.said()
        assert room not in worker.said(), "who calls is nobody's business"
        assert "GET /" not in worker.said(), "a line for every look"


def test_calls_should_come_while_livekit_has_the_worker_and_not_while_it_looks_for_livekit(
    tmp_path: Path, engine_port: int
) -> None:
    health, numbers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    ports = {"WORKER_PORT": health.rpartition(":")[2], "WORKER_METRICS_PORT": numbers.rpartition(":")[2]}
    engine = {"ENGINE_URL": f"ws://127.0.0.1:{engine_port}"}
    command, ready = python("worker", "start"), partial(status_and_text, f"{numbers}/readyz")
    with ExitStack() as until_it_is_gone, ExitStack() as until_the_end:
        livekit = until_it_is_gone.enter_context(livekit_server(tmp_path / "livekit"))
        started = running(command, tmp_path / "worker.log", **environment(livekit) | ports | engine)
        worker = until_the_end.enter_context(started)
        wait_for(worker, lambda: ready() == (200, "ready\n"))
        until_it_is_gone.close()
        wait_for(worker, lambda: ready() == (503, "not registered at LiveKit\n"))
        # Nobody kills a worker for that, and it finds a server that is there again.
        assert status_and_text(f"{health}/") == (200, "OK")
        assert get(f"{health}/worker")
        again = [livekit_binary(), "--config", str(tmp_path / "livekit.yaml")]
        until_the_end.enter_context(running(again, tmp_path / "again.log"))
        wait_for(worker, lambda: ready() == (200, "ready\n"))
        assert "GET /" not in worker.said(), "a line for every look"


def test_livekits_own_command_ends_where_no_engine_is_named(livekit: LiveKitSettings, logs: Path) -> None:
    settings = environment(livekit) | {"LIVEKIT_AGENT_NAME": "nobody's", "WORKER_PORT": "0"}
    command = python("livekit.agents", "start", str(ROOT / "worker" / "server.py"))
    with running(command, logs / "no-engine.log", **settings) as worker:
        assert worker.exit_code(60) == 2
        assert worker.said().count("ENGINE_URL is not set") == 1
        assert "Traceback" not in worker.said()
        assert "registered worker" not in worker.said()


def spoken_s(sound: NDArray[np.int16]) -> float:
    """For how long somebody is heard in it."""
    return 0.01 * float(np.count_nonzero(envelope(sound) > 10 ** (SPEECH_DB / 20)))


def length_s(*clips: Clip) -> float:
    """For how long somebody speaks in these."""
    return sum(spoken_s(np.frombuffer(b"".join(clip.frames), np.int16)) for clip in clips)


async def test_a_call_begins_with_a_notice_and_one_whose_engine_dies_says_so_and_goes_on_anew(
    livekit: LiveKitSettings, start_worker: StartWorker, tmp_path: Path
) -> None:
    (notice,) = keyed_phrases(NOTICE_HZ, 1)
    sound_files.write(tmp_path / "notice.wav", notice, SPEAKING_RATE)
    settings = ENGINE | {
        "ENGINE_PORT": str(free_port()),
        "WORKER_DISCLOSURE": "all",
        "WORKER_DISCLOSURE_CLIP": str(tmp_path / "notice.wav"),
    }
    with start_worker("start", "orphaned", **settings) as worker:
        async with Caller.join(calling(livekit, "orphaned"), new_room()) as caller:
            listening = asyncio.create_task(caller.say(np.zeros(600 * SPEAKING_RATE, np.int16)))
            await caller.wait_for_agent(PATIENCE_S)
            async with asyncio.timeout(2 * PATIENCE_S):
                while spoken_s(caller.heard) < 1 or share(caller.heard, NOTICE_HZ) < 0.6:
                    await asyncio.sleep(0.2)
                while caller.agent_attributes["lk.agent.state"] != "listening":
                    await asyncio.sleep(0.2)
            before_s = spoken_s(caller.heard)
            (engine,) = children(worker.process.pid)
            os.kill(engine, signal.SIGKILL)
            async with asyncio.timeout(2 * PATIENCE_S):
                while NEW not in [segment.text for segment in caller.segments]:
                    await asyncio.sleep(0.1)
                # Nobody has said anything that could come back.
                while spoken_s(caller.heard) < before_s + 0.6 * length_s(ONE_MOMENT, ANEW):
                    await asyncio.sleep(0.2)
            listening.cancel()
            (another,) = children(worker.process.pid)
            assert another != engine
            # A clip says the same aloud, and what is said meanwhile goes nowhere.
            assert await hear_themselves(caller, takes=10)
            assert not caller.agent_left.is_set()
        assert "the engine that this worker started ended with code -9" in worker.said()
        assert "Traceback" not in worker.said()


def test_a_worker_whose_engine_cannot_start_says_so(livekit: LiveKitSettings, logs: Path) -> None:
    settings = environment(livekit) | ENGINE | {"ENGINE_CHECKPOINT": "/no/such/folder", "ENGINE_PORT": "0"}
    with running(python("worker", "start"), logs / "no-model.log", **settings) as worker:
        assert worker.exit_code(60) == 2
        assert "/no/such/folder" in worker.said()
        assert "error: the engine cannot run with these settings" in worker.said()
        assert "Traceback" not in worker.said()


def test_a_worker_whose_health_check_or_numbers_have_no_port_says_so(
    livekit: LiveKitSettings, logs: Path, engine_port: int
) -> None:
    settings = environment(livekit) | {"LIVEKIT_AGENT_NAME": "second", "WORKER_PORT": "0"}
    settings["ENGINE_URL"] = f"ws://127.0.0.1:{engine_port}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with at_once(
            *(
                running(python("worker", "start"), logs / f"{setting}.log", **settings | {setting: port})
                for setting in ("WORKER_PORT", "WORKER_METRICS_PORT")
            )
        ) as workers:
            for worker in workers:
                assert worker.exit_code(60) == 2
                assert port in worker.said()
                assert "choose another WORKER_PORT or WORKER_METRICS_PORT" in worker.said()
                assert "Traceback" not in worker.said()


def test_a_worker_that_cannot_work_says_why(livekit: LiveKitSettings, logs: Path) -> None:
    wrong = {"testkey": {"LIVEKIT_API_SECRET": "another secret of a sufficient length"}, "nobody": {}}
    with at_once(
        *(
            running(
                python("worker", "start"),
                logs / f"wrong-{key}.log",
                **environment(livekit) | {"LIVEKIT_API_KEY": key} | secret,
            )
            for key, secret in wrong.items()
        )
    ) as workers:
        for key, worker in zip(wrong, workers, strict=True):
            assert worker.exit_code(60) == 2
            assert f"does not accept LIVEKIT_API_KEY='{key}'" in worker.said()
            assert "Traceback" not in worker.said()
