"""Whether calls should be sent to this worker: `/readyz`, beside its numbers on WORKER_METRICS_PORT.

livekit-agents' own health check says 200 as long as it still tries to reach LiveKit: that is life, and not
readiness.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from livekit.agents.telemetry.http_server import HttpServer

log = logging.getLogger(__name__)

READY_PATH = "/readyz"


@dataclass(frozen=True, slots=True)
class Readiness:
    """How the worker is at the moment when it is asked."""

    registered: Callable[[], bool]
    """LiveKit knows it, over a connection that is there."""
    draining: Callable[[], bool]
    engine_answers: Callable[[], bool]

    def why_not(self) -> str | None:
        """Why no call should come here, in a line; None if calls may."""
        if self.draining():
            return "draining: it takes no new calls"
        if not self.registered():
            return "not registered at LiveKit"
        if not self.engine_answers():
            return "the engine does not answer"
        return None


@asynccontextmanager
async def answering(host: str, port: int | None, readiness: Readiness) -> AsyncIterator[int | None]:
    """Answer until the block is left; on which port, since 0 takes a free one. None: on none.

    Raises OSError where there is no place.
    """
    if port is None:
        yield None
        return

    async def ready(_request: web.Request) -> web.Response:
        why_not = readiness.why_not()
        return web.Response(text=f"{why_not or 'ready'}\n", status=503 if why_not else 200)

    # Theirs, which has /metrics with their numbers beside ours.
    server = HttpServer(host, port)
    server.app.add_routes([web.get(READY_PATH, ready)])
    try:
        await server.start()
        log.info("numbers", extra={"url": f"http://{host}:{server.port}/metrics"})
        yield server.port
    finally:
        await server.aclose()
