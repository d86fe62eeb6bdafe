"""The handler of `/api/chat`: a place in the line, then the conversation, over either wire."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from engine.errors import SessionError, TooManyFromAddress
from engine.service.address_limit import AddressLimit
from engine.service.chat_call import LAST_WORDS_S, ChatCall, Codecs
from engine.service.chat_line import WaitingLine
from engine.service.chat_query import CHAT_PATH, ChatRequest
from engine.service.metrics import Metrics
from engine.service.sessions import Sessions

_HEARTBEAT_S = 10.0
_MAX_MESSAGE_BYTES = 128 * 1024


class ChatSocket:
    """Whoever is refused hears it as an HTTP answer; whoever waits has been let in."""

    def __init__(
        self,
        sessions: Sessions,
        line: WaitingLine,
        addresses: AddressLimit,
        metrics: Metrics,
        idle_s: float,
    ) -> None:
        self._sessions = sessions
        self._line = line
        self._addresses = addresses
        self._metrics = metrics
        self._idle_s = idle_s
        self._codecs = Codecs()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Take a place before the upgrade; then talk until one side ends it."""
        socket = web.WebSocketResponse(
            timeout=LAST_WORDS_S, heartbeat=_HEARTBEAT_S, max_msg_size=_MAX_MESSAGE_BYTES, compress=False
        )
        if not socket.can_prepare(request).ok:
            raise SessionError(f"{CHAT_PATH} is a WebSocket")
        asked = ChatRequest.from_query(request.query)
        self._sessions.check(asked.session)
        with self._counting(), self._addresses.call(request.remote), self._line.place() as place:
            await socket.prepare(request)
            call = ChatCall(socket, asked, place, self._sessions, self._metrics, self._codecs, self._idle_s)
            try:
                await call.run()
            finally:
                if not socket.closed and request.transport is not None:
                    request.transport.abort()
        return socket

    @contextmanager
    def _counting(self) -> Iterator[None]:
        try:
            yield
        except TooManyFromAddress as refusal:
            self._metrics.refused(refusal.code)
            raise

    async def close(self, _app: web.Application) -> None:
        """Let the codecs go, when the last call is over."""
        self._codecs.shutdown(wait=False)
