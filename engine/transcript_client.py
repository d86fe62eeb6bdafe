"""The torch-free client of `/v1/transcribe`.

async with TranscriptClient("ws://127.0.0.1:8998") as engine:
    transcript = await engine.open()
    await transcript.send(pcm)
    async for event in transcript: ...
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import aiohttp

from engine.connection import ANSWER_TIMEOUT_S, HEARTBEAT_S, Connection
from engine.errors import EngineFull, NoTranscriber, SessionError
from engine.json_messages import JsonMessage
from engine.protocol import End, Ended
from engine.transcript_protocol import (
    TRANSCRIBE_PATH,
    Flush,
    TranscriptEvent,
    TranscriptReady,
    parse_event,
)


class TranscriptClient:
    """One engine by its address: `ws://host:port`, `wss://host:port` or `unix:/path/of/socket`.

    Build it inside a running event loop. Raises SettingError for what is no address.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._engine = Connection(url, "ENGINE_URL", token)
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self) -> "Transcript":
        """Begin to be written down. Raises EngineUnreachable, Unauthorized, NotServed where the engine has no
        model for it, and a refusal: NoTranscriber when all seats are taken.
        """
        url = self._engine.at(TRANSCRIBE_PATH)
        async with self._engine.reaching(), AsyncExitStack() as unless_ready:
            try:
                socket = await self._engine.http.ws_connect(url, heartbeat=HEARTBEAT_S)
            except EngineFull as full:
                raise NoTranscriber(full.seats, full.in_calls, full.reserved) from None
            unless_ready.push_async_callback(socket.close)
            ready = _parse(await socket.receive(ANSWER_TIMEOUT_S))
            if not isinstance(ready, TranscriptReady):
                raise SessionError(
                    f"the engine at {self._engine.url} began with {ready!r} where ready was expected"
                )
            unless_ready.pop_all()
        self._sockets = [other for other in self._sockets if not other.closed] + [socket]
        return Transcript(socket, ready, self._engine)

    async def close(self) -> None:
        """Close every connection, those of open transcriptions too."""
        for socket in self._sockets:
            await socket.close()
        await self._engine.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Transcript:
    """One speaker: `send` what is said, iterate over what was understood.

    The iteration ends after `Ended` and raises EngineUnreachable when the connection is lost before it.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, ready: TranscriptReady, engine: Connection
    ) -> None:
        self._socket = socket
        self._engine = engine
        self.ready = ready

    async def send(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length."""
        if not self._socket.closed:
            # Closed on the other side, which the iteration will tell.
            with suppress(ConnectionError):
                await self._socket.send_bytes(pcm)

    async def flush(self) -> None:
        """The speaker has paused: tell what was said now."""
        await self._say(Flush())

    async def end(self) -> None:
        """Nothing more is said. The last words come, then `Ended`."""
        await self._say(End())

    async def close(self) -> None:
        """Close the connection; nothing of it is kept."""
        await self._socket.close()

    async def _say(self, message: JsonMessage) -> None:
        if not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_str(message.to_wire())

    async def __aiter__(self) -> AsyncIterator[TranscriptEvent]:
        while True:
            event = _parse(await self._engine.receive(self._socket))
            yield event
            if isinstance(event, Ended):
                await self._socket.close()
                return


def _parse(message: aiohttp.WSMessage) -> TranscriptEvent:
    if message.type is aiohttp.WSMsgType.TEXT:
        return parse_event(message.data)
    raise aiohttp.ClientError("the connection closed")
