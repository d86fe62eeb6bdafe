"""A real namespace behind a real cable. Needs root, iproute2 and /dev/net/tun."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.errors import SettingError
from load_tests.network.behind import behind
from load_tests.network.cable import Passage
from tests.lacking import need_network_of_our_own

ROOT = Path(__file__).parents[3]
DELAY_MS = 100
BODY = bytes(range(256)) * 200
# A connection's first packet and the one that answers it: nothing of the server's own time is in there.
PROBE = """
import socket, sys, time, urllib.request
from urllib.parse import urlsplit
address = urlsplit(sys.argv[1])
began = time.monotonic()
socket.create_connection((address.hostname, address.port), 60).close()
print(time.monotonic() - began)
with urllib.request.urlopen(sys.argv[1].replace("ws:", "http:"), timeout=60) as answer:
    print(answer.read() == bytes(range(256)) * 200)
"""


class Answers(BaseHTTPRequestHandler):
    """A file for everybody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def server(host: str) -> Iterator[str]:
    with ThreadingHTTPServer((host, 0), Answers) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"ws://{host}:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def slow(tmp_path: Path) -> str:
    need_network_of_our_own()
    file = tmp_path / "slow.toml"
    file.write_text(f"[up]\ndelay_ms = {DELAY_MS}\n[down]\ndelay_ms = {DELAY_MS}\n")
    return str(file)


def own_address() -> str:
    """One of this machine that is not loopback; skips where it has none."""
    told = subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, text=True, check=True).stdout
    for link in json.loads(told):
        for address in link["addr_info"]:
            if address.get("scope") == "global":
                return str(address["local"])
    pytest.skip("this machine has no address but loopback")


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("where", ["loopback", "an address of this machine"])
def test_a_server_of_this_machine_is_reached_through_the_cable_alone(where: str, slow: str) -> None:
    with server("127.0.0.1" if where == "loopback" else own_address()) as url:
        with behind(slow, url) as here:
            assert here.place.name in namespaces()
            command = here.place.command(sys.executable, "-c", PROBE, here.place.url)
            said = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
        took_s, whole = said.split()
        assert float(took_s) >= 2 * DELAY_MS / 1000
        assert whole == "True"
        assert isinstance(here.passage, Passage)
        assert here.passage.down.passed * 1400 > len(BODY)
        assert "up delay_ms 100" in str(here)
        assert here.place.name not in namespaces()
        # For everybody else nothing has changed.
        address = urlsplit(url)
        assert address.hostname
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read() == BODY
        connection.close()


def test_nothing_is_left_behind_by_a_run_that_was_killed(slow: str) -> None:
    program = (
        "import sys, time\nfrom load_tests.network.behind import behind\n"
        "with behind(sys.argv[1], 'ws://127.0.0.1:9') as here:\n"
        "    print(here.place.name, flush=True)\n    time.sleep(100)\n"
    )
    command = [sys.executable, "-c", program, slow]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        name = run.stdout.readline().strip()
        assert name
        assert name in namespaces()
        run.kill()
    while name in namespaces():
        time.sleep(0.1)


def test_a_server_without_an_address_is_refused(slow: str) -> None:
    with (
        pytest.raises(SettingError, match=r"'nowhere\.invalid' of ws://nowhere\.invalid has no IPv4 address"),
        behind(slow, "ws://nowhere.invalid"),
    ):
        pass


@pytest.mark.parametrize(("missing", "remedy"), [("ip", "apt install iproute2"), ("root", "sudo")])
def test_what_it_needs_is_said(
    missing: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "ip":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("ip") is None:
        pytest.skip("the program ip is asked for first")
    elif os.geteuid() == 0:
        pytest.skip("we are root")
    with (
        pytest.raises(SettingError, match=f"a network of our own needs .*{remedy}"),
        behind("lte", "ws://[::1]"),
    ):
        pass
