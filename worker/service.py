"""The worker from its first check to its last call."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from engine.errors import EngineError, SettingError
from worker import privacy
from worker.engine_child import engine_child
from worker.hybrid import stack
from worker.modes import Mode
from worker.preflight import check_engine, check_livekit
from worker.settings import WorkerSettings, open_engine
from worker.watching.line import VARIABLE as CALLS_SOCKET
from worker.watching.line import listening
from worker.web.server import DEV_PORT, web_server

log = logging.getLogger(__name__)

# Weights of LiveKit's own turn detector, some 250 MB: a full-duplex model has no use for them.
_WITHOUT_TURN_DETECTOR = {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}


class LiveKitLost(EngineError):
    """The connection to the LiveKit server is lost and could not be made again."""


async def serve(settings: WorkerSettings, *, drains: bool) -> None:
    """Take calls until SIGTERM or SIGINT; one that drains then waits for its calls, until a second signal.

    Raises SettingError, AudioFileError, Unauthorized, EngineDied or LiveKitLost.
    """
    work = asyncio.create_task(_serve(settings, drains=drains))
    _on_signal(work.cancel)
    await asyncio.wait([work])
    if not work.cancelled():
        work.result()


async def _serve(settings: WorkerSettings, *, drains: bool) -> None:
    privacy.prepare(settings)
    stack.check(settings, settings.worker_mode, None if settings.has_no_engine else stack.ANY)
    await check_livekit(settings)
    async with _engine(settings) as (settings, engine_lost), AsyncExitStack() as until_the_end:
        os.environ.update(settings.to_environment() | _WITHOUT_TURN_DETECTOR)
        # Here and not above: an AgentServer reads the environment when it is built.
        from worker.server import metrics, orphans, retention, seats, server, stranded

        calls = await until_the_end.enter_async_context(listening(metrics))
        os.environ[CALLS_SOCKET] = str(calls)
        web_port = settings.worker_web_port
        if web_port is None and not drains:
            web_port = DEV_PORT
        if web_port is not None:
            await until_the_end.enter_async_context(web_server(settings, web_port, seats.is_full, metrics))
        stop, stop_now = asyncio.Event(), asyncio.Event()
        _on_signal(lambda: (stop_now if stop.is_set() else stop).set())
        running = asyncio.create_task(server.run(devmode=not drains))
        try:
            await _first(running, engine_lost, stop.wait())
            if drains and stop.is_set():
                log.info("no new calls; a second signal ends those that are on")
                await _first(running, engine_lost, stop_now.wait(), server.drain(timeout=None))
        finally:
            await retention.stop()
            await stranded.stop()
            await orphans.stop()
            await seats.stop()
            await server.aclose()
        if engine_lost.done():
            raise engine_lost.result()
        try:
            await running
        except RuntimeError as lost:
            raise LiveKitLost(f"the LiveKit server at {settings.livekit_url} is gone: {lost}") from lost
        except OSError as taken:
            raise SettingError(
                f"no place for the health check or the metrics: {taken}; choose another WORKER_PORT or "
                "WORKER_METRICS_PORT"
            ) from None


@asynccontextmanager
async def _engine(
    settings: WorkerSettings,
) -> AsyncIterator[tuple[WorkerSettings, asyncio.Future[EngineError]]]:
    """Settings that name the engine; what is done, with an error, when it was ours and is gone for good.

    Raises SettingError, Unauthorized, EngineDied; SettingError too where it has not what the mode needs.
    """
    if settings.has_no_engine:
        yield settings, asyncio.get_running_loop().create_future()
    elif settings.engine_url is None:
        async with engine_child(settings) as ours:
            await _check_models(ours[0])
            yield ours
    else:
        async with open_engine(settings) as engine:
            await check_engine(engine)
        await _check_models(settings)
        yield settings, asyncio.get_running_loop().create_future()


async def _check_models(settings: WorkerSettings) -> None:
    if settings.worker_mode is Mode.MOSHI:
        return
    async with open_engine(settings) as engine:
        stack.check(settings, settings.worker_mode, await engine.model())


async def _first(*ends: Awaitable[object]) -> None:
    """Wait for the first of these. Coroutines among them are cancelled then, tasks and futures go on."""
    tasks = [asyncio.ensure_future(end) for end in ends]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, end in zip(tasks, ends, strict=True):
        if task is not end:
            task.cancel()


def _on_signal(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)
