"""A server of the session protocol without a model: each frame comes back as the answer to the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

from aiohttp import WSMsgType, web

from engine.errors import EngineFull
from engine.protocol import (
    FRAME_BYTES,
    MODEL_PATH,
    SEATS_PATH,
    SESSION_PATH,
    Audio,
    Ended,
    Event,
    ModelCard,
    Ready,
    Report,
    SessionRequest,
    Text,
    parse_client_message,
)


@dataclass
class FakeEngine:
    """Counts seats as the engine does.

    `words`: what it says with the answer to a frame, by its number; `stalled`: it listens without a word;
    `parting_s`: it takes this long to hear that somebody hangs up, and does not if they are gone by then.
    """

    seats: int = 4
    words: dict[int, str] = field(default_factory=dict)
    stalled: bool = False
    parting_s: float = 0.0
    card: ModelCard = field(default_factory=lambda: ModelCard("fake", 80))
    url: str = ""
    reserved: set[str] = field(default_factory=set)
    released: list[str] = field(default_factory=list)
    requests: list[SessionRequest] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
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

    async def count(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"seats": self.seats, "in_calls": self.in_calls, "reserved": len(self.reserved)}
        )

    async def model(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self.card))

    async def reserve(self, request: web.Request) -> web.Response:
        if self._is_full():
            return self._refusal()
        self.reserved.add((await request.json())["id"])
        return web.Response(status=201)

    async def release(self, request: web.Request) -> web.Response:
        self.released.append(request.match_info["id"])
        self.reserved.discard(request.match_info["id"])
        return web.Response(status=204)

    async def session(self, request: web.Request) -> web.StreamResponse:
        asked = SessionRequest.from_query(request.query)
        if asked.seat in self.reserved:
            self.reserved.discard(asked.seat)
        elif self._is_full():
            return self._refusal()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.requests.append(asked)
        self.sockets.append(socket)
        ready = Ready(f"s{len(self.requests)}", self.card.model, 0, self.card.model_delay_ms)
        await socket.send_str(ready.to_wire())
        try:
            self.ends.append(await self._converse(request, socket))
        finally:
            self.sockets.remove(socket)
        return socket

    async def _converse(self, request: web.Request, socket: web.WebSocketResponse) -> str:
        last, number, heard = bytes(FRAME_BYTES), 0, b""
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.frames.append(message.data)
                if self.stalled:
                    continue
                heard += message.data
                while len(heard) >= FRAME_BYTES:
                    await socket.send_bytes(Audio(number, 0, 0, last).to_wire())
                    if number in self.words:
                        await socket.send_str(Text(number, self.words[number]).to_wire())
                    last, heard, number = heard[:FRAME_BYTES], heard[FRAME_BYTES:], number + 1
            elif isinstance(report := parse_client_message(message.data), Report):
                self.reports.append(report)
            else:
                await asyncio.sleep(self.parting_s)
                if request.transport is None or request.transport.is_closing():
                    break
                await socket.send_str(Ended("hang_up").to_wire())
                return "hang_up"
        return "connection_lost"

    def _is_full(self) -> bool:
        return self.in_calls + len(self.reserved) >= self.seats

    def _refusal(self) -> web.Response:
        full = EngineFull(self.seats, self.in_calls, len(self.reserved))
        return web.json_response(full.to_wire(), status=503)


@asynccontextmanager
async def serving(engine: FakeEngine, port: int = 0) -> AsyncIterator[FakeEngine]:
    """The engine on a free port of this machine, its address in `url`."""
    app = web.Application()
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
