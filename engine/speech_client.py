"""The torch-free client of `/v1/speech`.

async with SpeechClient("ws://127.0.0.1:8998") as engine:
    speech = await engine.open(SpeechRequest(seed=1))
    await speech.say("Good morning.")
    await speech.end()
    async for event in speech: ...
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import aiohttp

from engine.connection import ANSWER_TIMEOUT_S, HEARTBEAT_S, Connection
from engine.errors import EngineFull, NoSpeaker, SessionError
from engine.json_messages import JsonMessage
from engine.protocol import End, Ended
from engine.speech_protocol import (
    MAX_TEXT_CHARACTERS,
    SPEECH_PATH,
    Flush,
    Say,
    SpeechEvent,
    SpeechReady,
    SpeechRequest,
    parse_event,
)

_AS_ASKED = SpeechRequest()


class SpeechClient:
    """One engine by its address: `ws://host:port`, `wss://host:port` or `unix:/path/of/socket`.

    Build it inside a running event loop. Raises SettingError for what is no address.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._engine = Connection(url, "ENGINE_URL", token)
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self, request: SpeechRequest = _AS_ASKED) -> "Speech":
        """Begin to speak. Raises EngineUnreachable, Unauthorized, NotServed where the engine has no model for
        it, SessionError for a parameter, and a refusal: NoSpeaker when all seats are taken.
        """
        url = self._engine.at(SPEECH_PATH).with_query(request.to_query())
        async with self._engine.reaching(), AsyncExitStack() as unless_ready:
            try:
                socket = await self._engine.http.ws_connect(url, heartbeat=HEARTBEAT_S)
            except EngineFull as full:
                raise NoSpeaker(full.seats, full.in_calls, full.reserved) from None
            unless_ready.push_async_callback(socket.close)
            ready = _parse(await socket.receive(ANSWER_TIMEOUT_S))
            if not isinstance(ready, SpeechReady):
                raise SessionError(
                    f"the engine at {self._engine.url} began with {ready!r} where ready was expected"
                )
            unless_ready.pop_all()
        self._sockets = [other for other in self._sockets if not other.closed] + [socket]
        return Speech(socket, ready, self._engine)

    async def close(self) -> None:
        """Close every connection, those of open speeches too."""
        for socket in self._sockets:
            await socket.close()
        await self._engine.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Speech:
    """One voice: `say` what it is to say, iterate over its sound and its words.

    The iteration ends after `Ended` and raises EngineUnreachable when the connection is lost before it.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, ready: SpeechReady, engine: Connection
    ) -> None:
        self._socket = socket
        self._engine = engine
        self.ready = ready

    async def say(self, text: str) -> None:
        """More text, of any length, cut anywhere. The last word waits for a space after it, a flush or the
        end.
        """
        for at in range(0, len(text), MAX_TEXT_CHARACTERS):
            await self._send(Say(text[at : at + MAX_TEXT_CHARACTERS]))

    async def flush(self) -> None:
        """Speak all that came until now; `Spoken` tells when it has been."""
        await self._send(Flush())

    async def end(self) -> None:
        """Nothing more is said. The rest of the sound comes, then `Ended`."""
        await self._send(End())

    async def close(self) -> None:
        """Be silent at once: the connection closes, and the seat is free."""
        await self._socket.close()

    async def _send(self, message: JsonMessage) -> None:
        if not self._socket.closed:
            # Closed on the other side, which the iteration will tell.
            with suppress(ConnectionError):
                await self._socket.send_str(message.to_wire())

    async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        while True:
            event = _parse(await self._engine.receive(self._socket))
            yield event
            if isinstance(event, Ended):
                await self._socket.close()
                return


def _parse(message: aiohttp.WSMessage) -> SpeechEvent:
    if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        return parse_event(message.data)
    raise aiohttp.ClientError("the connection closed")
