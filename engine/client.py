"""The torch-free client of an engine: what the worker, the load tests and other people's programs use.

async with EngineClient("ws://127.0.0.1:8998") as engine:
    session = await engine.open(SessionRequest(temperature=0.7))
    await session.send(pcm)
    async for event in session: ...
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

import aiohttp

from engine.connection import ANSWER_TIMEOUT_S, HEARTBEAT_S, Connection
from engine.errors import SessionError
from engine.protocol import (
    MODEL_PATH,
    RESUME_HEADER,
    SEATS_PATH,
    SESSION_PATH,
    Audio,
    End,
    Ended,
    Event,
    ModelCard,
    OwnWords,
    Pause,
    Ready,
    Report,
    SessionRequest,
    parse_engine_message,
)

_METRICS_PATH = "/metrics"

_Message = TypeVar("_Message", str, bytes)


@dataclass(frozen=True, slots=True)
class SeatCount:
    """How many seats an engine has, how many are in calls, and how many are reserved for one.

    `held` counts the sessions whose callers are away, for a moment: paused, or their connection lost.
    """

    seats: int
    in_calls: int
    reserved: int
    held: int = 0


class EngineClient:
    """One engine by its address: `ws://host:port`, `wss://host:port` or `unix:/path/of/socket`.

    Build it inside a running event loop. Every method raises EngineUnreachable when nobody answers,
    Unauthorized for a wrong token, EngineDraining when the engine is going down, and what it names itself.
    peers: addresses of other engines by name, to which a session may be moved; they take the same token.
    setting: where the address comes from.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        peers: Mapping[str, str] = MappingProxyType({}),
        *,
        setting: str = "ENGINE_URL",
    ) -> None:
        self._engine = Connection(url, setting, token)
        self._token = token
        self._peers = peers
        self._known: dict[str, EngineClient] = {}
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self, request: SessionRequest, resume: str | None = None) -> "EngineSession":
        """Open a session and wait until it is ready. Raises EngineFull, SessionError.

        resume: `Ready.resume` of a session whose connection was lost, which goes on then; `request` names the
        same room and identity, a seat if one was reserved, and nothing else of it counts. Raises SessionGone
        if it is not held any more; after EngineFull it still is.
        """
        url = self._engine.at(SESSION_PATH).with_query(request.to_query())
        headers = request.to_headers() | ({RESUME_HEADER: resume} if resume else {})
        async with self._engine.reaching(), AsyncExitStack() as unless_ready:
            socket = await self._engine.http.ws_connect(url, heartbeat=HEARTBEAT_S, headers=headers)
            unless_ready.push_async_callback(socket.close)
            ready = _parse(await socket.receive(ANSWER_TIMEOUT_S))
            if not isinstance(ready, Ready):
                raise SessionError(
                    f"the engine at {self._engine.url} began with {ready!r} where ready was expected"
                )
            unless_ready.pop_all()
        self._sockets = [other for other in self._sockets if not other.closed] + [socket]
        return EngineSession(socket, ready, self._engine)

    @property
    def peers(self) -> tuple[str, ...]:
        """The names of the other engines."""
        return tuple(self._peers)

    def peer(self, name: str) -> "EngineClient":
        """Another engine, of `peers`. It is closed together with this one."""
        if name not in self._known:
            self._known[name] = EngineClient(self._peers[name], self._token, setting="ENGINE_PEERS")
        return self._known[name]

    async def reserve(self, seat: str, ttl_s: float = 20.0) -> None:
        """Keep a seat for `ttl_s` seconds under an id of the caller's choice. Raises EngineFull."""
        body = {"id": seat, "ttl_s": ttl_s}
        async with self._engine.reaching(), self._engine.http.post(self._engine.at(SEATS_PATH), json=body):
            pass

    async def release(self, seat: str) -> None:
        """Give a reserved seat back; one that is not reserved is no error."""
        async with self._engine.reaching(), self._engine.http.delete(self._engine.at(SEATS_PATH) / seat):
            pass

    async def seats(self) -> SeatCount:
        """How full the engine is."""
        async with self._engine.reaching(), self._engine.http.get(self._engine.at(SEATS_PATH)) as answer:
            body = await answer.json()
        return SeatCount(body["seats"], body["in_calls"], body["reserved"], body.get("held", 0))

    async def model(self) -> ModelCard:
        """What the engine serves."""
        async with self._engine.reaching(), self._engine.http.get(self._engine.at(MODEL_PATH)) as answer:
            return ModelCard.from_wire(await answer.json())

    async def metrics(self) -> str:
        """The page of `/metrics`, in Prometheus' text format."""
        async with self._engine.reaching(), self._engine.http.get(self._engine.at(_METRICS_PATH)) as answer:
            return await answer.text()

    async def close(self) -> None:
        """Close every connection, those of open sessions too."""
        for peer in self._known.values():
            await peer.close()
        for socket in self._sockets:
            await socket.close()
        await self._engine.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class EngineSession:
    """An open conversation: `send` the caller's sound, iterate over what comes back.

    The iteration ends after `Ended` and raises EngineUnreachable when the connection is lost before it: then
    the session can be resumed with `ready.resume` for `ready.grace_s` seconds.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, ready: Ready, engine: Connection) -> None:
        self._socket = socket
        self._engine = engine
        self.ready = ready

    async def send(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length. Lost once the session is over: its end arrives as an event."""
        await self._send(self._socket.send_bytes, pcm)

    async def say(self, words: OwnWords) -> None:
        """What the model is to take for its own words in the next frame of the caller's that has none yet.

        The answer to that frame is silence. For sessions whose `ready` has `own_words`.
        """
        await self._send(self._socket.send_str, words.to_wire())

    async def report(self, report: Report) -> None:
        """Tell the engine what became of one of its answers, for its metrics."""
        await self._send(self._socket.send_str, report.to_wire())

    async def pause(self) -> None:
        """The caller is away: the seat may go to another, and the first sound that is sent takes one again.

        If none is free then, the events are `Failure` with the code engine_full and `Ended` with the reason
        held: the session can still be resumed.
        """
        await self._send(self._socket.send_str, Pause().to_wire())

    async def end(self) -> None:
        """Hang up: the seat is free at once. The engine answers with `Ended`."""
        await self._send(self._socket.send_str, End().to_wire())

    async def close(self) -> None:
        """Close the connection without a word, as a lost network would: the session is held."""
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
        raise self._engine.lost()


def _parse(message: aiohttp.WSMessage) -> Event:
    if message.type is aiohttp.WSMsgType.BINARY:
        return Audio.from_wire(message.data)
    if message.type is aiohttp.WSMsgType.TEXT:
        return parse_engine_message(message.data)
    raise aiohttp.ClientError("the connection closed")
