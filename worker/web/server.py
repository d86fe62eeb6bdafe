"""The web server's life: from an address to the routes behind it."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext

import aiohttp
from aiohttp import web
from livekit import api

from engine.errors import SettingError
from engine.service.tls import server_tls
from worker.settings import WorkerSettings, open_engine
from worker.watching.worker_metrics import WorkerMetrics
from worker.web.app import build_app
from worker.web.calls import Calls
from worker.web.door import Door
from worker.web.phones import Phones
from worker.web.signalling import MAX_LINE_BYTES, Signalling
from worker.web.webhook import Webhook

log = logging.getLogger(__name__)

DEV_PORT = 8080
_LAST_WORDS_S = 1.0


@asynccontextmanager
async def web_server(
    settings: WorkerSettings, port: int, is_full: Callable[[], bool], metrics: WorkerMetrics | None = None
) -> AsyncIterator[str]:
    """The page and the call endpoint until the block is left; their address. Raises SettingError.

    `settings` name the engine, where one is needed; `is_full`: whether no seat is left; `metrics`: count what
    is asked for.
    """
    asked, alone = (metrics.requested, metrics.phone_alone) if metrics else (_uncounted, _uncounted)
    tls = server_tls(settings.worker_tls_cert, settings.worker_tls_key, "WORKER_")
    secret = settings.livekit_api_secret.get_secret_value()
    async with (
        api.LiveKitAPI(settings.livekit_url, settings.livekit_api_key, secret) as livekit,
        aiohttp.ClientSession() as http,
        nullcontext() if settings.has_no_engine else open_engine(settings) as engine,
        aclosing(Phones(settings.livekit_agent_name, livekit, alone)) as phones,
    ):
        app = build_app(
            settings,
            engine,
            Calls(settings, livekit, is_full),
            Door(settings),
            Signalling(settings.livekit_url, http),
            Webhook(settings, phones),
            count=asked,
        )
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_LAST_WORDS_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
        )
        await runner.setup()
        try:
            host = settings.worker_web_host
            try:
                await web.TCPSite(runner, host, port, ssl_context=tls).start()
            except OSError as taken:
                raise SettingError(
                    f"no place for the web page: {taken}; choose another WORKER_WEB_PORT"
                ) from None
            name = f"[{host}]" if ":" in host else host
            url = f"{'https' if tls else 'http'}://{name}:{runner.addresses[0][1]}"
            log.info("web page", extra={"url": url})
            yield url
        finally:
            await runner.cleanup()


def _uncounted(_result: str) -> None:
    pass
