"""One call of `/api/chat`, from the upgrade to the close."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web

from engine.errors import EngineError, Refused, SessionError
from engine.protocol import Audio, Ended, Failure, Ready, Text
from engine.service.chat_line import Place
from engine.service.chat_query import ChatRequest
from engine.service.chat_wire import MoshiWire, PlainWire, Wire, handshake, metadata, speaks_plain
from engine.service.metrics import Metrics
from engine.service.pace import Pace
from engine.service.session import Session
from engine.service.sessions import Sessions
from engine.step.frames import FRAME_S

LAST_WORDS_S = 2.0
# A plain client speaks at once, Moshi's web client only after the handshake.
_FIRST_WORD_S = 0.5
# That web client gives up after 10 s without a message.
_PING_S = 5.0
# What is said while more than this waits is not heard: an engine that is too slow would answer ever later.
_MOST_UNANSWERED = round(2.0 / FRAME_S)
_LOST = (None, WSCloseCode.ABNORMAL_CLOSURE)
_MAX_CLOSE_BYTES = 123


class Codecs(ThreadPoolExecutor):
    """The threads on which Opus is coded."""

    def __init__(self) -> None:
        super().__init__(max_workers=2, thread_name_prefix="opus")


class _Left(Exception):
    """The caller is not there any more. `reason` as in `Ended`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChatCall:
    """A caller who has been let in, and waits for a seat or talks."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        asked: ChatRequest,
        place: Place,
        sessions: Sessions,
        metrics: Metrics,
        codecs: Codecs,
        idle_s: float,
    ) -> None:
        self._socket = socket
        self._asked = asked
        self._place = place
        self._sessions = sessions
        self._metrics = metrics
        self._idle_s = idle_s
        self._pace = Pace()
        self._codecs = codecs
        self._wire: Wire = PlainWire(self._pace) if asked.plain else MoshiWire(self._pace, codecs)
        self._first_word = asyncio.Event()
        self._heard_at = 0.0

    async def run(self) -> None:
        """Talk until the call is over, then say why."""
        try:
            async with asyncio.TaskGroup() as tasks:
                listener = tasks.create_task(self._listen())
                session, ready = await self._seated()
                guard = tasks.create_task(self._guard(session))
                ended = await self._speak(session, ready)
                listener.cancel()
                guard.cancel()
            await self._part(ended)
        except* _Left as left:
            reason = str(left.exceptions[0])
            if self._place.session is not None:
                self._sessions.close(self._place.session, reason)
        except* EngineError as errors:
            error = errors.exceptions[0]
            assert isinstance(error, EngineError)
            if self._place.session is not None:
                self._sessions.close(self._place.session, "error", error)
            await self._part(error)
        finally:
            if self._place.session is not None:
                self._sessions.close(self._place.session, "connection_lost")

    async def _seated(self) -> tuple[Session, Ready]:
        """Wait for a seat; then greet whoever does not speak plain, once that is known."""
        moment = asyncio.create_task(self._first_word.wait())
        first_word = asyncio.wait((moment,), timeout=_FIRST_WORD_S)
        try:
            (session, ready), _ = await asyncio.gather(self._place.open(self._asked.session), first_word)
        finally:
            moment.cancel()
        self._heard_at = asyncio.get_running_loop().time()
        if isinstance(self._wire, MoshiWire):
            await self._send(handshake())
            if self._asked.wants_metadata:
                await self._send(metadata(ready.model, self._sessions.sampling(self._asked.session)))
        return session, ready

    async def _listen(self) -> None:
        """Until the caller hangs up, breaks a rule, or is gone: always raises."""
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                if message.type is WSMsgType.ERROR:
                    break
                raise SessionError("/api/chat takes binary messages: Ogg-Opus behind a byte 1, or float32")
            self._pace.message()
            if not self._first_word.is_set():
                if isinstance(self._wire, MoshiWire) and speaks_plain(message.data):
                    self._wire = PlainWire(self._pace)
                self._first_word.set()
            session = self._place.session
            sound = await self._wire.hear(message.data, wanted=session is not None)
            if sound and session is not None:
                self._heard_at = asyncio.get_running_loop().time()
                if session.unanswered < _MOST_UNANSWERED:
                    session.receive(sound)
        raise _Left("connection_lost" if self._socket.close_code in _LOST else "hang_up")

    async def _guard(self, session: Session) -> None:
        """Raise when the caller is silent for too long, or does not read to the end."""
        loop = asyncio.get_running_loop()
        while (left_s := self._heard_at + self._idle_s - loop.time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await session.ended.wait()
                await asyncio.sleep(LAST_WORDS_S)
                raise _Left("connection_lost")
        raise SessionError(f"no sound for {self._idle_s:g} s: send silence to stay in a call")

    async def _speak(self, session: Session, ready: Ready) -> Failure | Ended:
        """Every answer, until the session ends: why it did."""
        failure: Failure | None = None
        while True:
            try:
                # Python 3.11's wait_for loses a cancellation that comes together with an event.
                async with asyncio.timeout(_PING_S):
                    event, result = await session.events.get()
            except TimeoutError:
                await self._send(self._wire.ping())
                continue
            if isinstance(event, Audio):
                await self._send(await self._wire.audio(event.pcm))
            elif isinstance(event, Text):
                await self._send(self._wire.text(event.piece))
            elif isinstance(event, Failure):
                failure = event
            elif isinstance(event, Ended):
                return failure or event
            if result is not None:
                self._metrics.answered(ready.session, result)

    async def _part(self, why: EngineError | Failure | Ended) -> None:
        """The last words."""
        code = WSCloseCode.GOING_AWAY
        if isinstance(why, Ended):
            sentence = "the engine shuts down: call again in a moment"
        elif isinstance(why, Failure):
            sentence = why.message
            own_fault = why.code == SessionError.code
            code = WSCloseCode.POLICY_VIOLATION if own_fault else WSCloseCode.INTERNAL_ERROR
        else:
            sentence = str(why)
            code = WSCloseCode.TRY_AGAIN_LATER if isinstance(why, Refused) else WSCloseCode.POLICY_VIOLATION
        with suppress(_Left, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._send(self._wire.error(sentence))
                await self._socket.close(code=code, message=sentence.encode()[:_MAX_CLOSE_BYTES])

    async def _send(self, message: bytes | None) -> None:
        if message is None:
            return
        try:
            await self._socket.send_bytes(message)
        except ConnectionError:
            raise _Left("connection_lost") from None
