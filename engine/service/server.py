"""One engine process from its first socket to its last call."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EADDRINUSE
from pathlib import Path

from aiohttp import web

from engine.errors import EngineError, SettingError
from engine.service.address_limit import AddressLimit
from engine.service.app import build_app
from engine.service.chat_line import WaitingLine
from engine.service.chat_socket import ChatSocket
from engine.service.metrics import Metrics
from engine.service.seats import Seats
from engine.service.sessions import ServedModel, Sessions
from engine.service.tls import server_tls
from engine.settings import ENV_PREFIX, EngineSettings
from engine.step.frames import StepResult
from engine.step.loop import Runner, StepLoop
from engine.step.measure import StepTimes
from engine.step.ready_queue import ReadyQueue

log = logging.getLogger(__name__)

_LAST_WORDS_S = 1.0
_POLL_S = 0.1


@contextmanager
def bound(settings: EngineSettings) -> Iterator[list[socket.socket]]:
    """The sockets, taken before the model is loaded and given back at the end.

    Raises SettingError if an address cannot be had, or TLS cannot be spoken there.
    """
    server_tls(settings.tls_cert, settings.tls_key, ENV_PREFIX)
    with ExitStack() as until_the_end:
        try:
            family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
            tcp = socket.create_server((settings.host, settings.port), family=family)
        except OSError as error:
            raise SettingError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
                "choose another --port or --host, or stop what listens there"
            ) from None
        sockets = [until_the_end.enter_context(tcp)]
        if settings.socket is not None:
            unix = until_the_end.enter_context(socket.socket(socket.AF_UNIX))
            _bind_unix(unix, settings.socket)
            until_the_end.callback(settings.socket.unlink, missing_ok=True)
            sockets.append(unix)
        yield sockets


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
    slots: int,
    shutdown: Shutdown,
    times: StepTimes | None = None,
) -> bool:
    """Serve up to `slots` sessions until `shutdown` is requested and all are over; False: the step failed.

    times: of the runner, where it has been measured.
    """
    events = asyncio.get_running_loop()
    tls = server_tls(settings.tls_cert, settings.tls_key, ENV_PREFIX)
    seats = Seats(slots)
    metrics = Metrics(seats)
    if times is not None:
        metrics.predict(times)
    queue = ReadyQueue()
    sessions = Sessions(model, seats, queue, metrics)

    def deliver(results: list[StepResult]) -> None:
        events.call_soon_threadsafe(sessions.deliver, results)

    def fail() -> None:
        events.call_soon_threadsafe(break_down)

    def break_down() -> None:
        sessions.state = "broken"
        sessions.close_all("error", EngineError("the engine failed: call again, or use another"))
        shutdown.request()

    token = settings.token.get_secret_value() if settings.token else None
    line = WaitingLine(
        sessions,
        seats,
        metrics,
        places=settings.chat_line,
        patience_s=settings.chat_line_seconds,
        room_share=settings.room_share,
    )
    addresses = AddressLimit(settings.chat_per_address)
    chat = ChatSocket(sessions, line, addresses, metrics, settings.chat_idle_seconds)
    app = build_app(sessions, seats, metrics, chat, token, settings.origins)
    web_runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_WORDS_S)
    await web_runner.setup()
    steps = StepLoop(runner, queue, deliver, fail)
    steps.start()
    try:
        for listening in sockets:
            encrypted = tls if listening is sockets[0] else None
            await web.SockSite(web_runner, listening, ssl_context=encrypted).start()
        host, port = sockets[0].getsockname()[:2]
        scheme = "wss" if tls else "ws"
        log.info(
            "ready", extra={"model": model.name, "seats": seats.total, "url": f"{scheme}://{host}:{port}"}
        )
        await shutdown.requested.wait()
        if sessions.state == "open":
            await _drain(sessions, seats, settings.drain_seconds, shutdown.hurried)
    finally:
        await web_runner.cleanup()
        steps.stop()
    return sessions.state != "broken"


async def _drain(sessions: Sessions, seats: Seats, seconds: float, hurried: asyncio.Event) -> None:
    """Take no new calls; wait for those that are on or promised, at most `seconds`, less if `hurried`."""
    sessions.state = "draining"
    log.info("draining", extra={"calls": sessions.live})
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (sessions.live or seats.reserved) and not hurried.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await hurried.wait()
    sessions.close_all("drain")
