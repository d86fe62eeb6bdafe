import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.end_to_end.processes import ROOT, Running, free_port, get, python, running, wait_for
from tests.lacking import lacking
from worker.caller import sound_files
from worker.caller.microphone import SPEAKING_RATE
from worker.settings import LiveKitSettings
from worker.web import webhook

SLOTS = 4
PATIENCE_S = 30.0
"""For what takes a second: the machine may do much else at the same time."""
PEER_TOKEN = "a-secret-of-the-engines"
KEY, SECRET = "testkey", "a secret that is long enough for HMAC"

StartWorker = Callable[..., AbstractContextManager[Running]]


def _livekit_binary() -> str:
    binary = os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server", path=str(ROOT / "bin"))
    binary = binary or shutil.which("livekit-server")
    if binary is None:
        lacking("no livekit-server: `make setup` builds one, or name yours in LIVEKIT_SERVER")
    return binary


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
    port = free_port()
    text = (ROOT / "livekit.yaml").read_text()
    for ours, theirs in (
        ("port: 7880", f"port: {port}"),
        ("udp_port: 7882", f"udp_port: {free_port(socket.SOCK_DGRAM)}"),
        ("devkey: secret", f"{KEY}: {SECRET}"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    text += f"webhook:\n  api_key: {KEY}\n  urls: [http://127.0.0.1:{told_port}{webhook.PATH}]\n"
    configuration = logs / "livekit.yaml"
    configuration.write_text(text)
    with running([_livekit_binary(), "--config", str(configuration)], logs / "livekit.log") as server:
        wait_for(server, lambda: get(f"http://127.0.0.1:{port}/"))
        yield LiveKitSettings(
            livekit_url=f"ws://127.0.0.1:{port}",
            livekit_api_key=KEY,
            livekit_api_secret=SecretStr(SECRET),
            livekit_agent_name="",
        )


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
            yield worker

    return start


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker, engine_port: int) -> Iterator[Running]:
    """The worker that every room without a named agent gets."""
    with start_worker("start", "", ENGINE_URL=f"ws://127.0.0.1:{engine_port}") as worker:
        yield worker
