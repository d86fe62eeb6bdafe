import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy import run
from tests.end_to_end.processes import ROOT, Running, free_port, get, python, running, wait_for
from tests.lacking import lacking
from worker.caller import sound_files
from worker.caller.microphone import SPEAKING_RATE
from worker.settings import LiveKitSettings
from worker.web import webhook

SLOTS = 4
HURRY_AFTER_S = 3.0
PATIENCE_S = 30.0
"""For what takes a second: the machine may do much else at the same time."""
DESK = "+15550123"
"""Where telephones are put through to."""
PEER_TOKEN = "a-secret-of-the-engines"
KEY, SECRET = "testkey", "a secret that is long enough for HMAC"

WHOLE_MACHINE = "test_four_callers.py"
"""These tests take all of it, and come last: what runs beside them in `make test` has mostly ended then."""

StartWorker = Callable[..., AbstractContextManager[Running]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the whole machine comes last."""
    items.sort(key=lambda item: item.path.name == WHOLE_MACHINE)


def livekit_configuration(port: int, udp_port: int) -> str:
    """livekit.yaml with these ports, and a key that nobody else has."""
    return run.livekit_configuration((ROOT / "livekit.yaml").read_text(), port, udp_port, KEY, SECRET)


def livekit_binary() -> str:
    """LIVEKIT_SERVER, or the one that `make setup` built."""
    binary = os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server", path=str(ROOT / "bin"))
    binary = binary or shutil.which("livekit-server")
    if binary is None:
        lacking("no livekit-server: `make setup` builds one, or name yours in LIVEKIT_SERVER")
    return binary


@contextmanager
def livekit_server(files: Path, more: str = "") -> Iterator[LiveKitSettings]:
    """One as livekit.yaml has it, with `more` in its configuration, on free ports.

    `files`, with their suffixes, are its configuration and its log.
    """
    port = free_port()
    configuration = files.with_suffix(".yaml")
    configuration.write_text(livekit_configuration(port, free_port(socket.SOCK_DGRAM)) + more)
    with running([livekit_binary(), "--config", str(configuration)], files.with_suffix(".log")) as server:
        wait_for(server, lambda: get(f"http://127.0.0.1:{port}/"))
        yield LiveKitSettings(
            livekit_url=f"ws://127.0.0.1:{port}",
            livekit_api_key=KEY,
            livekit_api_secret=SecretStr(SECRET),
            livekit_agent_name="",
        )


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def told_port() -> int:
    """Where the LiveKit server tells what happens in its rooms: as WORKER_WEB_PORT, a worker hears of it."""
    return free_port()


@pytest.fixture(scope="session")
def livekit(logs: Path, told_port: int) -> Iterator[LiveKitSettings]:
    """The one LiveKit server of this run, configured as livekit.yaml is, on free ports."""
    hook = f"webhook:\n  api_key: {KEY}\n  urls: [http://127.0.0.1:{told_port}{webhook.PATH}]\n"
    with livekit_server(logs / "livekit", hook) as server:
        yield server


@pytest.fixture(scope="session")
def admin_socket(logs: Path) -> Path:
    """Where the engine tells of calls that were lost; a worker that is not told of it leaves them alone."""
    return logs / "admin.sock"


@pytest.fixture(scope="session")
def engine_port(logs: Path, admin_socket: Path) -> Iterator[int]:
    """A real engine with the parrot and SLOTS seats."""
    port = free_port()
    # What a busy machine serves in time is not what these tests are about.
    options = ("--slots", str(SLOTS), "--port", str(port), "--allow-slower-than-real-time")
    admin = ("--admin-socket", str(admin_socket))
    command = python("engine", "serve", "--checkpoint", "parrot", *options, *admin)
    with running(command, logs / "engine.log", ENGINE_PEER_TOKEN=PEER_TOKEN) as engine:
        wait_for(engine, lambda: get(f"http://127.0.0.1:{port}/readyz"))
        yield port


@pytest.fixture(scope="session")
def voice(logs: Path) -> Path:
    """A spoken WAV as Chromium takes it."""
    path = logs / "voice.wav"
    sound_files.write(path, sound_files.read(ROOT / "deploy" / "sample.wav", SPEAKING_RATE), SPEAKING_RATE)
    return path


def environment(livekit: LiveKitSettings) -> dict[str, str]:
    """What a program of ours needs to find the server."""
    return {
        "LIVEKIT_URL": livekit.livekit_url,
        "LIVEKIT_API_KEY": livekit.livekit_api_key,
        "LIVEKIT_API_SECRET": livekit.livekit_api_secret.get_secret_value(),
        "LIVEKIT_AGENT_NAME": livekit.livekit_agent_name,
    }


@pytest.fixture(scope="session")
def start_worker(livekit: LiveKitSettings, logs: Path) -> StartWorker:
    """Starts a worker and waits until LiveKit knows it; `name` is that of its agent."""

    @contextmanager
    def start(command: str, name: str, **settings: str) -> Iterator[Running]:
        ports = {"WORKER_PORT": str(free_port()), "WORKER_WEB_PORT": "0"}
        named = environment(livekit) | ports | {"LIVEKIT_AGENT_NAME": name}
        log = logs / f"worker-{name or 'default'}-{ports['WORKER_PORT']}.log"
        with running(python("worker", command), log, **named | settings) as worker:
            wait_for(worker, lambda: "registered worker" in worker.said())
            try:
                yield worker
            finally:
                end_with_all_calls(worker)

    return start


def end_with_all_calls(worker: Running) -> None:
    """Ask a worker to stop, and once more if it waits for callers who may come back."""
    worker.ask_to_stop()
    with suppress(subprocess.TimeoutExpired):
        worker.exit_code(HURRY_AFTER_S)
    worker.ask_to_stop()


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker, engine_port: int) -> Iterator[Running]:
    """The worker that every room without a named agent gets. Keys of telephones do something."""
    keys = {"WORKER_DTMF": "*=mute,#=hang_up,0=transfer", "WORKER_TRANSFER_TO": DESK}
    with start_worker("start", "", ENGINE_URL=f"ws://127.0.0.1:{engine_port}", **keys) as worker:
        yield worker
