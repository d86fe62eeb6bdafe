"""The part of livekit.yaml that a server for others needs, with a real server and a real Redis."""

import re
import socket
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import livekit_binary
from tests.end_to_end.processes import ROOT, free_port, get, running, wait_for
from tests.end_to_end.redis import redis
from worker.seats import BUSY_LOAD
from worker.settings import WorkerSettings
from worker.web import webhook

SECRET = "change-me-to-what-openssl-rand-made"


def production() -> str:
    """What is below the line, with what is commented there."""
    _, line, text = (ROOT / "livekit.yaml").read_text().partition("# ---- production ----\n")
    assert line
    return re.sub(r"^#(?=\S| {2})", "", text, flags=re.M)


def on_this_machine(text: str, redis_address: str, port: int) -> str:
    """The same, with addresses that a test can have. Nothing else of it is changed."""
    for theirs, ours in (
        ("port: 7880", f"port: {port}"),
        ("port: 6789", f"port: {free_port()}"),
        ("address: redis:6379\n  password: change-me-redis", f"address: {redis_address}"),
        ("tcp_port: 7881", f"tcp_port: {free_port()}"),
        ("use_external_ip: true", "use_external_ip: false\n  node_ip: 127.0.0.1"),
        ("tls_port: 5349", f"tls_port: {free_port()}"),
        ("udp_port: 3478", f"udp_port: {free_port(socket.SOCK_DGRAM)}"),
    ):
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    return text


def test_a_server_starts_with_the_production_part_and_finds_its_redis(tmp_path: Path) -> None:
    port, configuration = free_port(), tmp_path / "livekit.yaml"
    with redis(tmp_path) as address:
        configuration.write_text(on_this_machine(production(), address, port))
        with running([livekit_binary(), "--config", str(configuration)], tmp_path / "livekit.log") as server:
            wait_for(server, lambda: get(f"http://127.0.0.1:{port}/"))
            assert "connecting to redis" in server.said()
            assert "Starting TURN server" in server.said()
            # One that is asked to stop while it starts goes on.
            server.process.kill()


def test_a_misspelt_key_stops_the_server(tmp_path: Path) -> None:
    configuration = tmp_path / "livekit.yaml"
    text = on_this_machine(production(), "127.0.0.1:9", free_port())
    configuration.write_text(text.replace("departure_timeout", "departure_timeot"))
    with running([livekit_binary(), "--config", str(configuration)], tmp_path / "livekit.log") as server:
        server.exit_code()
        assert "departure_timeot" in server.said()


def test_its_numbers_fit_the_worker() -> None:
    found = yaml.safe_load(production())
    assert found["agents"]["target_load"] > BUSY_LOAD
    grace_s = WorkerSettings.model_fields["worker_grace_seconds"].default
    assert found["room"]["departure_timeout"] >= grace_s + 2
    assert all(url.endswith(webhook.PATH) for url in found["webhook"]["urls"])
    assert found["webhook"]["api_key"] in found["keys"]


@pytest.mark.parametrize("known", ["devkey", "bind_addresses", "enable_loopback_candidate"])
def test_nothing_of_the_development_server_is_left(known: str) -> None:
    assert known not in production()
