"""The wire of `/v1/session`: WebSocket messages to a session and back. Decides nothing."""

import asyncio
from contextlib import suppress

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from engine.errors import SessionError
from engine.protocol import (
    MAX_MESSAGE_BYTES,
    RESUME_HEADER,
    Audio,
    End,
    Ended,
    Event,
    OwnWords,
    Pause,
    Ready,
    Report,
    SessionRequest,
    parse_client_message,
)
from engine.service.metrics import Metrics
from engine.service.returns import Returns
from engine.service.session import Listener, Session
from engine.service.sessions import Sessions

_HEARTBEAT_S = 10.0
_LAST_WORDS_S = 2.0


class SessionSocket:
    """The handler of `/v1/session`."""

    def __init__(self, sessions: Sessions, returns: Returns, metrics: Metrics) -> None:
        self._sessions = sessions
        self._returns = returns
        self._metrics = metrics

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Open a session before the upgrade, so that a refusal is an HTTP answer; then speak the protocol."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            raise SessionError("/v1/session is a WebSocket")
        asked, token = (
            SessionRequest.from_wire(request.query, request.headers),
            request.headers.get(RESUME_HEADER),
        )
        session, ready = self._sessions.open(asked) if token is None else self._returns.resume(token, asked)
        listener = session.listener
        try:
            await socket.prepare(request)
            await self._converse(socket, session, listener, ready)
        finally:
            self._returns.lose(session, listener)
            if not socket.closed and request.transport is not None:
                request.transport.abort()
        return socket

    async def _converse(
        self, socket: web.WebSocketResponse, session: Session, listener: Listener, ready: Ready
    ) -> None:
        async with asyncio.TaskGroup() as pumps:
            sender = pumps.create_task(self._send(socket, session, listener, ready))
            receiver = pumps.create_task(self._receive(socket, session, listener))
            await listener.over.wait()
            # What is queued may still go out, but a client that does not read holds up nobody.
            await asyncio.wait((sender,), timeout=_LAST_WORDS_S)
            sender.cancel()
            receiver.cancel()

    async def _send(
        self, socket: web.WebSocketResponse, session: Session, listener: Listener, ready: Ready
    ) -> None:
        """From `Ready` to `Ended`."""
        with suppress(ConnectionError):
            await socket.send_str(ready.to_wire())
            event: Event = ready
            while not isinstance(event, Ended):
                event, result = await listener.events.get()
                if isinstance(event, Audio):
                    await socket.send_bytes(event.to_wire())
                else:
                    await socket.send_str(event.to_wire())
                if result is not None:
                    self._metrics.answered(session.id, result)
            await socket.close()

    async def _receive(self, socket: web.WebSocketResponse, session: Session, listener: Listener) -> None:
        """Until the client hangs up, breaks a rule, or is gone."""
        async for message in socket:
            if listener.over.is_set():
                return
            try:
                self._take(session, message)
            except SessionError as error:
                self._sessions.close(session, "error", error)
            except ConnectionError:
                break
        self._returns.lose(session, listener)

    def _take(self, session: Session, message: WSMessage) -> None:
        """One message. Raises SessionError for what breaks a rule, ConnectionError for none."""
        if message.type is WSMsgType.ERROR:
            if isinstance(message.data, WebSocketError):
                raise SessionError(f"this is no WebSocket message of at most {MAX_MESSAGE_BYTES} bytes")
            raise ConnectionError
        self._returns.confirm(session)
        session.count_message()
        if message.type is WSMsgType.BINARY:
            self._returns.hear(session, message.data)
            return
        match parse_client_message(message.data):
            case OwnWords(sound, words):
                session.say(sound, words)
            case Report() as report:
                self._sessions.report(session, report)
            case Pause():
                self._returns.pause(session)
            case End():
                self._sessions.close(session, "hang_up")
