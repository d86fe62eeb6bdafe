"""A server of the session protocol without a model: each frame comes back as the answer to the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace

from aiohttp import WSMsgType, web

from engine.errors import EngineError, EngineFull, SessionGone, SessionMoved
from engine.protocol import (
    FRAME_BYTES,
    MODEL_PATH,
    RESUME_HEADER,
    SEATS_PATH,
    SESSION_PATH,
    Audio,
    Ended,
    Event,
    ModelCard,
    Moved,
    OwnWords,
    Pause,
    Ready,
    Report,
    SessionRequest,
    Text,
    parse_client_message,
)
from engine.service.error_answers import errors_as_json


@dataclass
class FakeSession:
    """What survives a lost connection: the frame that was heard last, and the number of the next one."""

    id: str
    last: bytes = bytes(FRAME_BYTES)
    number: int = 0
    heard: bytes = b""


@dataclass
class FakeEngine:
    """Counts seats as the engine does, and holds lost sessions for ever.

    `words`: what it says with the answer to a frame, by its number; `stalled`: it listens without a word;
    `broken`: it opens no session, nor, for this reason, if it `refuses`; `parting_s`: it takes this long to
    hear that somebody hangs up, and does not if they are gone by then; `own_words`: what it was to take for
    its own, by how many messages of sound came before; `moved`: where sessions went, by their tokens.
    """

    seats: int = 4
    words: dict[int, str] = field(default_factory=dict)
    stalled: bool = False
    broken: bool = False
    refuses: EngineError | None = None
    parting_s: float = 0.0
    card: ModelCard = field(default_factory=lambda: ModelCard("fake", 80, own_words=True))
    url: str = ""
    reserved: set[str] = field(default_factory=set)
    released: list[str] = field(default_factory=list)
    requests: list[SessionRequest] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    pauses: int = 0
    resumes: int = 0
    own_words: dict[int, OwnWords] = field(default_factory=dict)
    held: dict[str, FakeSession] = field(default_factory=dict)
    moved: dict[str, SessionMoved] = field(default_factory=dict)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    @property
    def in_calls(self) -> int:
        return len(self.sockets)

    async def say(self, event: Event) -> None:
        """Send an event to every session."""
        for socket in self.sockets:
            wire = event.to_wire()
            await (socket.send_bytes(wire) if isinstance(wire, bytes) else socket.send_str(wire))

    async def drop(self) -> None:
        """Lose every connection."""
        for socket in list(self.sockets):
            await socket.close()

    async def hand_over(self, other: "FakeEngine", name: str) -> None:
        """Let the one session go on at another engine."""
        (session,) = self.held.values()
        other.held["moved"] = replace(session, heard=b"")
        self.forget()
        await self.say(Moved(name, "moved", session.number))
        await self.say(Ended("moved"))

    def forget(self) -> None:
        """Know of no session of before, as an engine that was started again."""
        self.held.clear()

    async def count(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"seats": self.seats, "in_calls": self.in_calls, "reserved": len(self.reserved)}
        )

    async def model(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self.card))

    async def reserve(self, request: web.Request) -> web.Response:
        if self._is_full():
            raise self._refusal()
        self.reserved.add((await request.json())["id"])
        return web.Response(status=201)

    async def release(self, request: web.Request) -> web.Response:
        self.released.append(request.match_info["id"])
        self.reserved.discard(request.match_info["id"])
        return web.Response(status=204)

    async def session(self, request: web.Request) -> web.StreamResponse:
        if self.broken:
            raise EngineError("broken")
        if self.refuses:
            raise self.refuses
        asked = SessionRequest.from_wire(request.query, request.headers)
        token = request.headers.get(RESUME_HEADER)
        if token is not None:
            if token in self.moved:
                raise self.moved[token]
            held = self.held.get(token)
            if held is None:
                raise SessionGone("no such session")
            self.resumes += 1
        else:
            held = None
            if asked.seat in self.reserved:
                self.reserved.discard(asked.seat)
            elif self._is_full():
                raise self._refusal()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.requests.append(asked)
        self.sockets.append(socket)
        session = held or FakeSession(f"s{len(self.requests)}")
        self.held.pop(token or "", None)
        token = f"token {len(self.requests)}"
        self.held[token] = session
        card = self.card
        ready = Ready(
            session.id,
            card.model,
            0,
            card.model_delay_ms,
            resume=token,
            grace_s=15,
            frame=session.number,
            own_words=card.own_words,
        )
        await socket.send_str(ready.to_wire())
        try:
            self.ends.append(await self._converse(request, socket, session))
        finally:
            self.sockets.remove(socket)
        return socket

    async def _converse(
        self, request: web.Request, socket: web.WebSocketResponse, session: FakeSession
    ) -> str:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.frames.append(message.data)
                if self.stalled:
                    continue
                session.heard += message.data
                while len(session.heard) >= FRAME_BYTES:
                    number = session.number
                    await socket.send_bytes(Audio(number, 0, 0, session.last).to_wire())
                    if number in self.words:
                        await socket.send_str(Text(number, self.words[number]).to_wire())
                    session.last, session.heard = session.heard[:FRAME_BYTES], session.heard[FRAME_BYTES:]
                    session.number += 1
                continue
            told = parse_client_message(message.data)
            if isinstance(told, Report):
                self.reports.append(told)
            elif isinstance(told, OwnWords):
                self.own_words[len(self.frames)] = told
            elif isinstance(told, Pause):
                self.pauses += 1
            else:
                await asyncio.sleep(self.parting_s)
                if request.transport is None or request.transport.is_closing():
                    break
                await socket.send_str(Ended("hang_up").to_wire())
                return "hang_up"
        return "connection_lost"

    def _is_full(self) -> bool:
        return self.in_calls + len(self.reserved) >= self.seats

    def _refusal(self) -> EngineFull:
        return EngineFull(self.seats, self.in_calls, len(self.reserved))


@asynccontextmanager
async def serving(engine: FakeEngine, port: int = 0) -> AsyncIterator[FakeEngine]:
    """The engine on a free port of this machine, its address in `url`."""
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(
        [
            web.get(SESSION_PATH, engine.session),
            web.get(MODEL_PATH, engine.model),
            web.get(SEATS_PATH, engine.count),
            web.post(SEATS_PATH, engine.reserve),
            web.delete(SEATS_PATH + "/{id}", engine.release),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    engine.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield engine
    finally:
        await engine.drop()
        await asyncio.sleep(0)
        await runner.cleanup()
