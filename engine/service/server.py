"""One engine process from its first socket to its last call."""

import asyncio
import logging
import socket
from contextlib import ExitStack
from errno import EADDRINUSE
from pathlib import Path

from aiohttp import web

from engine.errors import EngineError, SettingError
from engine.service.app import build_app
from engine.service.metrics import Metrics
from engine.service.seats import Seats
from engine.service.sessions import ServedModel, Sessions
from engine.settings import EngineSettings
from engine.step.frames import StepResult
from engine.step.loop import Runner, StepLoop
from engine.step.ready_queue import ReadyQueue

log = logging.getLogger(__name__)

_LAST_WORDS_S = 1.0


def bind(settings: EngineSettings) -> list[socket.socket]:
    """The sockets, taken before the model is loaded. Raises SettingError if an address cannot be had."""
    with ExitStack() as until_all_are_bound:
        try:
            family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
            tcp = socket.create_server((settings.host, settings.port), family=family)
        except OSError as error:
            raise SettingError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
                "choose another --port or --host, or stop what listens there"
            ) from None
        sockets = [until_all_are_bound.enter_context(tcp)]
        if settings.socket is not None:
            unix = until_all_are_bound.enter_context(socket.socket(socket.AF_UNIX))
            _bind_unix(unix, settings.socket)
            sockets.append(unix)
        until_all_are_bound.pop_all()
    return sockets


def _bind_unix(listening: socket.socket, path: Path) -> None:
    """Bind where this user alone can connect; a socket that a dead process left behind is replaced."""
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise OSError(EADDRINUSE, "another process listens there")
            path.unlink()
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen()
    except OSError as error:
        raise SettingError(f"cannot listen on the Unix socket {path}: {error.strerror or error}") from None


class Shutdown:
    """The wish to go down: first after the calls that are on, asked again at once."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.hurried = asyncio.Event()

    def request(self) -> None:
        """Ask for it, from the event loop."""
        if self.requested.is_set():
            self.hurried.set()
        self.requested.set()


async def serve(
    settings: EngineSettings,
    sockets: list[socket.socket],
    model: ServedModel,
    runner: Runner,
    shutdown: Shutdown,
) -> bool:
    """Serve sessions until `shutdown` is requested and they are over; False if the step failed."""
    events = asyncio.get_running_loop()
    seats = Seats(settings.slots)
    metrics = Metrics(seats)
    queue = ReadyQueue()
    sessions = Sessions(model, seats, queue, metrics)

    def deliver(results: list[StepResult]) -> None:
        events.call_soon_threadsafe(sessions.deliver, results)

    def fail(error: Exception) -> None:
        events.call_soon_threadsafe(break_down, error)

    def break_down(error: Exception) -> None:
        sessions.state = "broken"
        sessions.close_all("error", EngineError(f"the engine failed: {error}"))
        shutdown.request()

    token = settings.token.get_secret_value() if settings.token else None
    app = build_app(sessions, seats, metrics, token, settings.origins)
    web_runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_WORDS_S)
    await web_runner.setup()
    steps = StepLoop(runner, queue, deliver, fail)
    steps.start()
    try:
        for listening in sockets:
            await web.SockSite(web_runner, listening).start()
        host, port = sockets[0].getsockname()[:2]
        log.info("ready", extra={"model": model.name, "seats": seats.total, "url": f"ws://{host}:{port}"})
        await shutdown.requested.wait()
        if sessions.state == "open":
            await _drain(sessions, settings.drain_seconds, shutdown.hurried)
    finally:
        await web_runner.cleanup()
        steps.stop()
        if settings.socket is not None:
            settings.socket.unlink(missing_ok=True)
    return sessions.state != "broken"


async def _drain(sessions: Sessions, seconds: float, hurried: asyncio.Event) -> None:
    """Take no new calls; wait for those that are on, at most `seconds`, and no longer once `hurried`."""
    sessions.state = "draining"
    log.info("draining", extra={"calls": sessions.live})
    waits = [asyncio.create_task(event.wait()) for event in (sessions.idle, hurried)]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    sessions.close_all("drain")
