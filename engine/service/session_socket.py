"""The wire of `/v1/session`: WebSocket messages to a session and back. Decides nothing."""

import asyncio
from contextlib import suppress

from aiohttp import WSMsgType, web

from engine.errors import SessionError
from engine.protocol import (
    MAX_MESSAGE_BYTES,
    Audio,
    Ended,
    Event,
    Ready,
    Report,
    SessionRequest,
    parse_client_message,
)
from engine.service.metrics import Metrics
from engine.service.session import Session
from engine.service.sessions import Sessions

_HEARTBEAT_S = 10.0
_LAST_WORDS_S = 2.0


class SessionSocket:
    """The handler of `/v1/session`."""

    def __init__(self, sessions: Sessions, metrics: Metrics) -> None:
        self._sessions = sessions
        self._metrics = metrics

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Open a session before the upgrade, so that a refusal is an HTTP answer; then speak the protocol."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            raise SessionError("/v1/session is a WebSocket")
        session, ready = self._sessions.open(SessionRequest.from_query(request.query))
        try:
            await socket.prepare(request)
            await self._converse(socket, session, ready)
        finally:
            self._sessions.close(session, "connection_lost")
            if not socket.closed and request.transport is not None:
                request.transport.abort()
        return socket

    async def _converse(self, socket: web.WebSocketResponse, session: Session, ready: Ready) -> None:
        async with asyncio.TaskGroup() as pumps:
            sender = pumps.create_task(self._send(socket, session, ready))
            receiver = pumps.create_task(self._receive(socket, session))
            await session.ended.wait()
            # What is queued may still go out, but a client that does not read holds up nobody.
            await asyncio.wait((sender,), timeout=_LAST_WORDS_S)
            sender.cancel()
            receiver.cancel()

    async def _send(self, socket: web.WebSocketResponse, session: Session, ready: Ready) -> None:
        """From `Ready` to `Ended`."""
        with suppress(ConnectionError):
            await socket.send_str(ready.to_wire())
            event: Event = ready
            while not isinstance(event, Ended):
                event, result = await session.events.get()
                if isinstance(event, Audio):
                    await socket.send_bytes(event.to_wire())
                else:
                    await socket.send_str(event.to_wire())
                if result is not None:
                    self._metrics.answered(session.id, result)
            await socket.close()

    async def _receive(self, socket: web.WebSocketResponse, session: Session) -> None:
        """Until the client hangs up, breaks a rule, or is gone."""
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
            try:
                session.count_message()
                if message.type is WSMsgType.BINARY:
                    session.receive(message.data)
                    continue
                parsed = parse_client_message(message.data)
                if isinstance(parsed, Report):
                    self._sessions.report(session, parsed)
                    continue
                self._sessions.close(session, "hang_up")
            except SessionError as error:
                self._sessions.close(session, "error", error)
            return
        self._sessions.close(session, "connection_lost")
