"""The wire of `/v1/transcribe`: WebSocket messages to a transcription and back. Decides nothing."""

import asyncio
from contextlib import suppress

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from engine.errors import NotServed, SessionError
from engine.protocol import MAX_MESSAGE_BYTES, Ended
from engine.service.transcription import Transcription
from engine.service.transcriptions import Transcriptions
from engine.transcript_protocol import Flush, TranscriptEvent, TranscriptReady, parse_request

_HEARTBEAT_S = 10.0
_LAST_WORDS_S = 2.0


class TranscribeSocket:
    """The handler of `/v1/transcribe`; transcriptions: None in an engine that has no model for it."""

    def __init__(self, transcriptions: Transcriptions | None) -> None:
        self._transcriptions = transcriptions

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Let somebody in before the upgrade, so that a refusal is an HTTP answer; then write down."""
        if self._transcriptions is None:
            raise NotServed("this engine transcribes nothing: start it with --stt-checkpoint")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            raise SessionError("/v1/transcribe is a WebSocket")
        if request.query:
            raise SessionError(f"/v1/transcribe takes no parameters: leave {', '.join(request.query)} out")
        opened, ready = self._transcriptions.open()
        try:
            await socket.prepare(request)
            await self._transcribe(self._transcriptions, socket, opened, ready)
        finally:
            self._transcriptions.close(opened, "connection_lost")
            if not socket.closed and request.transport is not None:
                request.transport.abort()
        return socket

    async def _transcribe(
        self,
        transcriptions: Transcriptions,
        socket: web.WebSocketResponse,
        opened: Transcription,
        ready: TranscriptReady,
    ) -> None:
        async with asyncio.TaskGroup() as pumps:
            sender = pumps.create_task(_send(socket, opened, ready))
            receiver = pumps.create_task(_receive(transcriptions, socket, opened))
            await opened.is_over.wait()
            # What is queued may still go out, but a client that does not read holds up nobody.
            await asyncio.wait((sender,), timeout=_LAST_WORDS_S)
            sender.cancel()
            receiver.cancel()


async def _send(socket: web.WebSocketResponse, opened: Transcription, ready: TranscriptReady) -> None:
    """From `TranscriptReady` to `Ended`."""
    with suppress(ConnectionError):
        event: TranscriptEvent = ready
        await socket.send_str(event.to_wire())
        while not isinstance(event, Ended):
            event = await opened.events.get()
            await socket.send_str(event.to_wire())
        await socket.close()


async def _receive(
    transcriptions: Transcriptions, socket: web.WebSocketResponse, opened: Transcription
) -> None:
    """Until the client is gone or breaks a rule. Whoever has finished still hears the last words."""
    async for message in socket:
        try:
            _take(opened, message)
        except SessionError as error:
            transcriptions.close(opened, "error", error)
        except ConnectionError:
            break
    transcriptions.close(opened, "connection_lost")


def _take(opened: Transcription, message: WSMessage) -> None:
    """One message. Raises SessionError for what breaks a rule, ConnectionError for none."""
    if message.type is WSMsgType.ERROR:
        if isinstance(message.data, WebSocketError):
            raise SessionError(f"this is no WebSocket message of at most {MAX_MESSAGE_BYTES} bytes")
        raise ConnectionError
    opened.count_message()
    if message.type is WSMsgType.BINARY:
        opened.receive(message.data)
    elif isinstance(parse_request(message.data), Flush):
        opened.flush()
    else:
        opened.finish()
