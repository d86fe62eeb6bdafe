"""One engine process from its first socket to its last call."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from errno import EADDRINUSE
from pathlib import Path

import torch
from aiohttp import web

from engine.errors import EngineError, SettingError
from engine.peers import parse_peers
from engine.protocol import MAX_PROMPT_CHARACTERS
from engine.service.address_limit import AddressLimit
from engine.service.admin import build_admin
from engine.service.app import build_app
from engine.service.arrivals import Arrivals
from engine.service.auth import Keys
from engine.service.chat_line import WaitingLine
from engine.service.chat_socket import ChatSocket
from engine.service.departures import Departures
from engine.service.device_memory import DeviceMemory, device_name
from engine.service.grace import Grace
from engine.service.metrics import Metrics
from engine.service.orphans import Orphans
from engine.service.places import Places
from engine.service.prompt_cache import PromptCache
from engine.service.returns import Returns
from engine.service.room_hash import RoomHash
from engine.service.seats import Seats
from engine.service.sessions import ServedModel, Sessions
from engine.service.speech_metrics import SpeechMetrics
from engine.service.speeches import ServedTts, Speeches
from engine.service.tls import server_tls
from engine.service.transcription import ServedStt
from engine.service.transcription_metrics import TranscriptionMetrics
from engine.service.transcriptions import Transcriptions
from engine.service.watchdog import hung
from engine.settings import ENV_PREFIX, EngineSettings
from engine.state.saved import SavedForm
from engine.step.frames import StepResult
from engine.step.loop import STOP_TIMEOUT_S, Runner, StepLoop
from engine.step.measure import StepTimes
from engine.step.moves import Move
from engine.step.ready_queue import ReadyQueue
from engine.step.speech_loop import SpeechLoop, SpeechRunner, SpokenFrame
from engine.step.speech_queue import SpeechQueue
from engine.step.turns import Turns

log = logging.getLogger(__name__)

_LAST_WORDS_S = 1.0
_POLL_S = 0.1
# A prompt travels in the query: each of its characters may take twelve there.
_MOST_LINE_BYTES = 12 * MAX_PROMPT_CHARACTERS + 8192
_HUNG_STEPS = 10
_CPU = torch.device("cpu")
Loop = StepLoop | SpeechLoop
Beside = Transcriptions | Speeches


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
            sockets.append(until_the_end.enter_context(_unix(settings.socket)))
        yield sockets


@contextmanager
def bound_admin(settings: EngineSettings) -> Iterator[socket.socket | None]:
    """The socket for administration, if there is to be one. Raises SettingError."""
    if settings.admin_socket is None:
        yield None
    else:
        with _unix(settings.admin_socket) as listening:
            yield listening


@contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        _bind_unix(listening, path)
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


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


@dataclass(frozen=True, slots=True)
class Transcriber:
    """A model of speech to text, what steps it, and for how many at the same time."""

    model: ServedStt
    runner: Runner
    sessions: int


@dataclass(frozen=True, slots=True)
class Speaker:
    """A model that speaks texts, what steps it, and for how many at the same time."""

    model: ServedTts
    runner: SpeechRunner
    sessions: int


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
    admin: socket.socket | None = None,
    form: SavedForm | None = None,
    device: torch.device = _CPU,
    stt: Transcriber | None = None,
    tts: Speaker | None = None,
) -> bool:
    """Serve up to `slots` sessions until `shutdown` is requested and all are over; False: the step failed.

    times: of the runner, where it has been measured; admin: where administration is served; form: in which
    sessions go to other engines and come from there; device: whose memory the metrics show; stt, tts: models
    beside it, whose steps take turns with those of `runner`.
    """
    events = asyncio.get_running_loop()
    tls = server_tls(settings.tls_cert, settings.tls_key, ENV_PREFIX)
    seats = Seats(slots)
    room_key = settings.room_hash_key
    metrics = Metrics(seats, rooms=RoomHash(room_key.get_secret_value()) if room_key else None)
    metrics.identify(model.name, device_name(device))
    metrics.add(DeviceMemory.of(device))
    if times is not None:
        metrics.predict(times)
    queue = ReadyQueue(times.prompt.positions) if times else ReadyQueue()
    prompts = PromptCache(settings.prompt_cache_mib << 20)
    places = Places(
        seats, queue, slots if settings.held_sessions is None else settings.held_sessions, prompts
    )
    metrics.hold(lambda: places.held_in_slots, lambda: places.held_in_host_memory)
    grace, orphans = Grace(settings.grace_seconds), Orphans()
    sessions = Sessions(model, seats, places, queue, grace, metrics)
    metrics.drains(lambda: sessions.state != "open")
    heard, transcriptions = ReadyQueue(), None
    if stt is not None:
        transcriptions = Transcriptions(stt.model, stt.sessions, heard, lambda: sessions.state == "open")
    metrics.add(transcriptions.metrics if transcriptions else TranscriptionMetrics())
    said, speeches = SpeechQueue(), None
    if tts is not None:
        speeches = Speeches(tts.model, tts.sessions, said, lambda: sessions.state == "open")
    metrics.add(speeches.metrics if speeches else SpeechMetrics())
    beside = [each for each in (transcriptions, speeches) if each is not None]
    peer_token = settings.peer_token.get_secret_value() if settings.peer_token else None
    departures = Departures(sessions, places, grace, parse_peers(settings.peers), peer_token, form)
    returns = Returns(sessions, places, grace, orphans, departures, metrics)
    arrivals = Arrivals(sessions, seats, grace, form, returns) if peer_token and form else None

    def soon(what: Callable[..., None], *about: object) -> None:
        # A step that hung may end after all, when nobody is left to be told: a closed loop is a RuntimeError.
        with suppress(RuntimeError):
            events.call_soon_threadsafe(what, *about)

    def deliver(results: list[StepResult]) -> None:
        soon(sessions.deliver, results)

    def deliver_words(results: list[StepResult]) -> None:
        if transcriptions is not None:
            soon(transcriptions.deliver, results)

    def deliver_speech(frames: list[SpokenFrame]) -> None:
        if speeches is not None:
            soon(speeches.deliver, frames)

    def moved(move: Move, arrived: bool) -> None:
        soon(sessions.moved, move, arrived)

    def fail() -> None:
        soon(break_down)

    def break_down() -> None:
        sessions.state = "broken"
        failed = EngineError("the engine failed: call again, or use another")
        sessions.close_all("error", failed)
        for each in beside:
            each.close_all("error", failed)
        shutdown.request()

    async def watch() -> None:
        lawful_s = times.longest_s(slots) if times else 0.0
        limit_s = max(settings.step_timeout_seconds, _HUNG_STEPS * lawful_s)
        await hung(lambda: _working_on(loops), limit_s)
        if sessions.state == "broken":
            # A step that failed, and was told so, may never let its thread go.
            return
        log.error(
            "the step hangs: this engine goes down. If the device is only slow, give it more time with "
            "--step-timeout-seconds",
            extra={"seconds": limit_s},
        )
        break_down()

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
    app = build_app(
        sessions,
        returns,
        seats,
        places,
        metrics,
        chat,
        arrivals,
        Keys(token, peer_token, settings.origins),
        transcriptions,
        speeches,
    )

    def stop() -> None:
        for loop in loops:
            loop.stop(0.0 if sessions.state == "broken" else STOP_TIMEOUT_S)

    turns = Turns()
    loops: list[Loop] = [StepLoop(runner, queue, deliver, fail, moved=moved, turns=turns)]
    if stt is not None:
        loops.append(StepLoop(stt.runner, heard, deliver_words, fail, turns=turns))
    if tts is not None:
        loops.append(SpeechLoop(tts.runner, said, deliver_speech, fail, turns=turns))
    for loop in loops:
        loop.start()
    watching = asyncio.create_task(watch())
    async with AsyncExitStack() as until_the_end:
        until_the_end.callback(stop)
        until_the_end.callback(watching.cancel)
        until_the_end.push_async_callback(departures.close)
        if admin is not None:
            at_admin = await until_the_end.enter_async_context(
                _served(build_admin(sessions, seats, returns, orphans, departures))
            )
            await web.SockSite(at_admin, admin).start()
        at_clients = await until_the_end.enter_async_context(_served(app))
        for listening in sockets:
            encrypted = tls if listening is sockets[0] else None
            await web.SockSite(at_clients, listening, ssl_context=encrypted).start()
        host, port = sockets[0].getsockname()[:2]
        scheme = "wss" if tls else "ws"
        log.info(
            "ready", extra={"model": model.name, "seats": seats.total, "url": f"{scheme}://{host}:{port}"}
        )
        await shutdown.requested.wait()
        if sessions.state != "broken":
            await _drain(sessions, seats, beside, settings.drain_seconds, shutdown.hurried)
        if sessions.state == "broken":
            # Whoever asks hears that it is, and not that nobody is there.
            await asyncio.sleep(_LAST_WORDS_S)
    return sessions.state != "broken"


def _working_on(loops: Iterable[Loop]) -> tuple[Loop, int] | None:
    """Whose turn it is, and at which work that thread is."""
    return next(((loop, work) for loop in loops if (work := loop.working_on) is not None), None)


@asynccontextmanager
async def _served(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_LAST_WORDS_S, max_line_size=_MOST_LINE_BYTES
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _drain(
    sessions: Sessions,
    seats: Seats,
    beside: Sequence[Beside],
    seconds: float,
    hurried: asyncio.Event,
) -> None:
    """Take no new calls; wait for those that are on or promised, at most `seconds`, less if `hurried`.

    Those without a connection may come back meanwhile, but nobody waits for them alone.
    """
    sessions.drain()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while _busy(sessions, seats, beside) and not hurried.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await hurried.wait()
    sessions.close_all("drain")
    for each in beside:
        each.close_all("drain")


def _busy(sessions: Sessions, seats: Seats, beside: Sequence[Beside]) -> bool:
    return bool(sessions.live or seats.reserved or any(each.live for each in beside))
