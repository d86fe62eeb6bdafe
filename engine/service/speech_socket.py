"""The wire of `/v1/speech`: WebSocket messages to a speech and back. Decides nothing."""

import asyncio
from contextlib import suppress

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from engine.errors import NotServed, SessionError
from engine.protocol import MAX_MESSAGE_BYTES, Ended
from engine.service.speech import Speech
from engine.service.speeches import Speeches
from engine.speech_protocol import Sound, SpeechEvent, SpeechReady, SpeechRequest, parse_message

# A client that reads as fast as it plays answers a ping only after the sound before it.
_HEARTBEAT_S: float | None = 60.0
# The seat is free by then, and what is sent may be seconds of sound on a slow line.
_LAST_SOUND_S = 30.0


class SpeechSocket:
    """The handler of `/v1/speech`; speeches: None in an engine that has no model for it."""

    def __init__(self, speeches: Speeches | None) -> None:
        self._speeches = speeches

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Let somebody in before the upgrade, so that a refusal is an HTTP answer; then speak."""
        if self._speeches is None:
            raise NotServed("this engine speaks no texts: start it with --tts-checkpoint")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            raise SessionError("/v1/speech is a WebSocket")
        opened, ready = self._speeches.open(SpeechRequest.from_query(request.query))
        try:
            await socket.prepare(request)
            await self._speak(self._speeches, socket, opened, ready)
        finally:
            self._speeches.close(opened, "connection_lost")
            if not socket.closed and request.transport is not None:
                request.transport.abort()
        return socket

    async def _speak(
        self, speeches: Speeches, socket: web.WebSocketResponse, opened: Speech, ready: SpeechReady
    ) -> None:
        async with asyncio.TaskGroup() as pumps:
            sender = pumps.create_task(_send(socket, opened, ready))
            receiver = pumps.create_task(_receive(speeches, socket, opened))
            await opened.is_over.wait()
            await asyncio.wait((sender,), timeout=_LAST_SOUND_S)
            sender.cancel()
            receiver.cancel()


async def _send(socket: web.WebSocketResponse, opened: Speech, ready: SpeechReady) -> None:
    """From `SpeechReady` to `Ended`."""
    with suppress(ConnectionError):
        event: SpeechEvent = ready
        await socket.send_str(ready.to_wire())
        while not isinstance(event, Ended):
            event = await opened.events.get()
            if isinstance(event, Sound):
                await socket.send_bytes(event.to_wire())
            else:
                await socket.send_str(event.to_wire())
        await socket.close()


async def _receive(speeches: Speeches, socket: web.WebSocketResponse, opened: Speech) -> None:
    """Until the client is gone or breaks a rule. Whoever has finished still hears the rest."""
    async for message in socket:
        try:
            _take(speeches, opened, message)
        except SessionError as error:
            speeches.close(opened, "error", error)
        except ConnectionError:
            break
    speeches.close(opened, "connection_lost")


def _take(speeches: Speeches, opened: Speech, message: WSMessage) -> None:
    """One message. Raises SessionError for what breaks a rule, ConnectionError for none."""
    if message.type is WSMsgType.ERROR:
        if isinstance(message.data, WebSocketError):
            raise SessionError(f"this is no WebSocket message of at most {MAX_MESSAGE_BYTES} bytes")
        raise ConnectionError
    opened.count_message()
    if message.type is WSMsgType.BINARY:
        raise SessionError("text comes as JSON in text messages")
    speeches.receive(opened, parse_message(message.data))
