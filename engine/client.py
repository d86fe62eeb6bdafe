"""The torch-free client of an engine: what the worker, the load tests and other people's programs use.

async with EngineClient("ws://127.0.0.1:8998") as engine:
    session = await engine.open(SessionRequest(temperature=0.7))
    await session.send(pcm)
    async for event in session: ...
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from engine.errors import EngineError, EngineUnreachable, SessionError, SettingError, error_from_wire
from engine.protocol import (
    MODEL_PATH,
    SEATS_PATH,
    SESSION_PATH,
    Audio,
    End,
    Ended,
    Event,
    ModelCard,
    Ready,
    Report,
    SessionRequest,
    parse_engine_message,
)

ANSWER_TIMEOUT_S = 5.0
HEARTBEAT_S = 10.0

_Message = TypeVar("_Message", str, bytes)


@dataclass(frozen=True, slots=True)
class SeatCount:
    """How many seats an engine has, how many are in calls, and how many are reserved for one."""

    seats: int
    in_calls: int
    reserved: int


class EngineClient:
    """One engine by its address: `ws://host:port`, `wss://host:port` or `unix:/path/of/socket`.

    Build it inside a running event loop. Every method raises EngineUnreachable when nobody answers,
    Unauthorized for a wrong token, EngineDraining when the engine is going down, and what it names itself.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._name = url
        self._base, connector = _parse_address(url)
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._http = aiohttp.ClientSession(
            connector=connector,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
            raise_for_status=_raise_engine_error,
        )

    async def open(self, request: SessionRequest) -> "EngineSession":
        """Open a session and wait until it is ready. Raises EngineFull, SessionError."""
        url = self._base.with_path(SESSION_PATH).with_query(request.to_query())
        async with self._reaching(), AsyncExitStack() as unless_ready:
            socket = await self._http.ws_connect(url, heartbeat=HEARTBEAT_S)
            unless_ready.push_async_callback(socket.close)
            ready = _parse(await socket.receive(ANSWER_TIMEOUT_S))
            if not isinstance(ready, Ready):
                raise SessionError(
                    f"the engine at {self._name} began with {ready!r} where ready was expected"
                )
            unless_ready.pop_all()
        self._sockets = [other for other in self._sockets if not other.closed] + [socket]
        return EngineSession(socket, ready, self._name)

    async def reserve(self, seat: str, ttl_s: float = 20.0) -> None:
        """Keep a seat for `ttl_s` seconds under an id of the caller's choice. Raises EngineFull."""
        body = {"id": seat, "ttl_s": ttl_s}
        async with self._reaching(), self._http.post(self._base.with_path(SEATS_PATH), json=body):
            pass

    async def release(self, seat: str) -> None:
        """Give a reserved seat back; one that is not reserved is no error."""
        async with self._reaching(), self._http.delete(self._base.with_path(SEATS_PATH) / seat):
            pass

    async def seats(self) -> SeatCount:
        """How full the engine is."""
        async with self._reaching(), self._http.get(self._base.with_path(SEATS_PATH)) as answer:
            body = await answer.json()
        return SeatCount(body["seats"], body["in_calls"], body["reserved"])

    async def model(self) -> ModelCard:
        """What the engine serves."""
        async with self._reaching(), self._http.get(self._base.with_path(MODEL_PATH)) as answer:
            return ModelCard.from_wire(await answer.json())

    async def close(self) -> None:
        """Close every connection, those of open sessions too."""
        for socket in self._sockets:
            await socket.close()
        await self._http.close()

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        try:
            yield
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachable(
                f"no engine answers at {self._name} ({error or type(error).__name__}): "
                "is it running, and is ENGINE_URL right?"
            ) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class EngineSession:
    """An open conversation: `send` the caller's sound, iterate over what comes back.

    The iteration ends after `Ended` and raises EngineUnreachable when the connection is lost before it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, ready: Ready, engine: str) -> None:
        self._socket = socket
        self._engine = engine
        self.ready = ready

    async def send(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length. Lost once the session is over: its end arrives as an event."""
        await self._send(self._socket.send_bytes, pcm)

    async def report(self, report: Report) -> None:
        """Tell the engine what became of one of its answers, for its metrics."""
        await self._send(self._socket.send_str, report.to_wire())

    async def end(self) -> None:
        """Hang up: the seat is free at once. The engine answers with `Ended`."""
        await self._send(self._socket.send_str, End().to_wire())

    async def close(self) -> None:
        """Close the connection without a word, as a lost network would."""
        await self._socket.close()

    async def _send(self, send: Callable[[_Message], Awaitable[None]], message: _Message) -> None:
        if not self._socket.closed:
            # Closed on the other side, which the iteration will tell.
            with suppress(ConnectionError):
                await send(message)

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.ERROR:
                break
            event = _parse(message)
            yield event
            if isinstance(event, Ended):
                await self._socket.close()
                return
        raise EngineUnreachable(f"the connection to the engine at {self._engine} was lost")


def _parse_address(url: str) -> tuple[URL, aiohttp.BaseConnector]:
    """The base URL and the connector that reaches it. Raises SettingError."""
    if url.startswith("unix:") and len(url) > len("unix:"):
        return URL("http://engine"), aiohttp.UnixConnector(url.removeprefix("unix:"))
    with suppress(ValueError):
        base = URL(url)
        if base.scheme in ("ws", "wss") and base.host:
            return base.with_scheme("http" if base.scheme == "ws" else "https"), aiohttp.TCPConnector()
    raise SettingError(
        f"ENGINE_URL={url!r} is not an address: give ws://host:port, wss://host:port or unix:/path"
    )


def _parse(message: aiohttp.WSMessage) -> Event:
    if message.type is aiohttp.WSMsgType.BINARY:
        return Audio.from_wire(message.data)
    if message.type is aiohttp.WSMsgType.TEXT:
        return parse_engine_message(message.data)
    raise aiohttp.ClientError("the connection closed")


async def _raise_engine_error(answer: aiohttp.ClientResponse) -> None:
    """Turn an HTTP error into the engine's own; an answer without its JSON comes from something else."""
    if answer.ok:
        return
    try:
        error = error_from_wire(await answer.json())
    except (aiohttp.ContentTypeError, ValueError, KeyError, AttributeError):
        error = EngineError(f"HTTP {answer.status} from {answer.url}: is this the address of an engine?")
    raise error
