"""A Redis for LiveKit servers, for as long as a test needs it."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.processes import free_port, running, wait_for
from tests.lacking import lacking


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Its address. It keeps nothing, and writes its log into the folder."""
    binary = shutil.which("redis-server")
    if binary is None:
        lacking("no redis-server: apt install redis-server")
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    with running([binary, *options], folder / "redis.log") as server:
        wait_for(server, lambda: _answers(port))
        yield f"127.0.0.1:{port}"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
