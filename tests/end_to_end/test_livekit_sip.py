"""A call by a real livekit-sip, where there is one: LIVEKIT_SIP_URI=sip:HOST:PORT names it, and LIVEKIT_URL,
LIVEKIT_API_KEY and LIVEKIT_API_SECRET the server that it belongs to. Package registries have none.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from tests.end_to_end.conftest import PATIENCE_S, StartWorker, environment
from tests.end_to_end.processes import Running, wait_for
from worker.cli import app
from worker.settings import LiveKitSettings

pytestmark = pytest.mark.timeout(180)

NUMBER = "+15550100"
AGENT = "test-of-livekit-sip"
URI = os.environ.get("LIVEKIT_SIP_URI", "")
_LIVEKIT = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
# As the run began: a fixture takes them away from all other tests.
GIVEN = {name.lower(): os.environ[name] for name in _LIVEKIT if name in os.environ}


@pytest.fixture
def bridge() -> tuple[str, int]:
    """Where livekit-sip takes calls."""
    if not URI:
        pytest.skip("LIVEKIT_SIP_URI names no livekit-sip: no call goes through a real one")
    if shutil.which("sipp") is None:
        pytest.skip("no sipp to call livekit-sip with: apt install sip-tester")
    address = urlsplit(f"//{URI.removeprefix('sip:')}")
    assert address.hostname, f"LIVEKIT_SIP_URI={URI} is no sip:HOST:PORT"
    return address.hostname, address.port or 5060


@pytest.fixture
def called(bridge: tuple[str, int], tmp_path: Path) -> Iterator[LiveKitSettings]:
    """The server, with a trunk that lets this machine call NUMBER."""
    server = LiveKitSettings.load(**GIVEN, livekit_agent_name=AGENT)
    path = tmp_path / "trunks.toml"
    path.write_text(f'[inbound]\nnumbers = ["{NUMBER}"]\nallowed_addresses = ["{own_address(*bridge)}"]\n')
    named = environment(server)
    made = CliRunner().invoke(app, ["sip", "setup", str(path)], env=named)
    assert made.exit_code == 0, made.output
    yield server
    assert CliRunner().invoke(app, ["sip", "remove"], env=named).exit_code == 0


def own_address(host: str, port: int) -> str:
    """That of this machine as the bridge sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])


def test_a_telephone_is_answered_talked_to_and_hung_up(
    bridge: tuple[str, int],
    called: LiveKitSettings,
    start_worker: StartWorker,
    engine_port: int,
    tmp_path: Path,
) -> None:
    host, port = bridge
    with start_worker(
        "start", AGENT, **environment(called), ENGINE_URL=f"ws://127.0.0.1:{engine_port}"
    ) as worker:
        call(tmp_path, host, port)
        wait_for(worker, lambda: ended(worker), PATIENCE_S)


def call(folder: Path, host: str, port: int) -> None:
    """Invite, talk for six seconds, hang up; fails unless all of that is answered as it should be."""
    options = ("-sn", "uac", "-s", NUMBER, "-m", "1", "-d", "6000", "-rtp_echo", "-nostdin")
    limits = ("-timeout", "60", "-timeout_error", "-i", own_address(host, port))
    made = subprocess.run(
        ["sipp", *options, *limits, f"{host}:{port}"], cwd=folder, capture_output=True, text=True, timeout=90
    )
    assert made.returncode == 0, f"{made.stdout[-4000:]}\n{made.stderr}"


def ended(worker: Running) -> bool:
    """Whether a call was ended by its caller."""
    return '"reason": "caller_left"' in worker.said()
