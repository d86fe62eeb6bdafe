"""What is administration, on a socket that only the engine's user can open: orphans, and who takes them;
sessions, and where they go.
"""

import asyncio
from contextlib import suppress

from aiohttp import web

from engine.admin_protocol import DRAIN_PATH, ORPHANS_PATH, SESSIONS_PATH, LiveSession, Orphan
from engine.errors import SessionError
from engine.protocol import SEATS_PATH
from engine.service.departures import Departures
from engine.service.error_answers import errors_as_json
from engine.service.orphans import Orphans
from engine.service.returns import Returns
from engine.service.seats import Seats
from engine.service.session import Session
from engine.service.sessions import Sessions

_HEARTBEAT_S = 10.0


def build_admin(
    sessions: Sessions, seats: Seats, returns: Returns, orphans: Orphans, departures: Departures
) -> web.Application:
    """Its routes."""
    app = web.Application(middlewares=[errors_as_json])

    async def feed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        if not socket.can_prepare(request).ok:
            raise SessionError(f"{ORPHANS_PATH} is a WebSocket")
        await socket.prepare(request)
        with orphans.watch() as watcher:
            listening = asyncio.create_task(_until_closed(socket, watcher))
            with suppress(ConnectionError):
                for orphan in returns.orphans():
                    await socket.send_str(orphan.to_wire())
                while (news := await watcher.get()) is not None:
                    await socket.send_str(news.to_wire())
            await socket.close()
            await listening
        return socket

    async def claim(request: web.Request) -> web.Response:
        return web.json_response(returns.claim(request.match_info["session"]).to_wire())

    async def everybody(_request: web.Request) -> web.Response:
        return web.json_response([_facts(session).to_wire() for session in sessions.all])

    async def move(request: web.Request) -> web.Response:
        departure = await departures.move(request.match_info["session"], await _peer(request))
        return web.json_response(departure.to_wire())

    async def promised(_request: web.Request) -> web.Response:
        return web.json_response({"reserved": seats.reserved})

    async def drain(request: web.Request) -> web.Response:
        await departures.ask(await _peer(request))
        sessions.drain()
        return web.Response(status=204)

    async def close(_app: web.Application) -> None:
        orphans.close()

    app.add_routes(
        [
            web.get(ORPHANS_PATH, feed),
            web.post(ORPHANS_PATH + "/{session}/claim", claim),
            web.get(SESSIONS_PATH, everybody),
            web.post(SESSIONS_PATH + "/{session}/move", move),
            web.get(SEATS_PATH, promised),
            web.post(DRAIN_PATH, drain),
        ]
    )
    app.on_shutdown.append(close)
    return app


async def _peer(request: web.Request) -> str:
    """The name that the body says. Raises SessionError."""
    try:
        return str((await request.json())["to"])
    except (LookupError, RecursionError, TypeError, ValueError):
        raise SessionError('where to? Say {"to": "the name of a peer"}') from None


def _facts(session: Session) -> LiveSession:
    owner = session.owner
    return LiveSession(session.id, owner.room or "", owner.identity or "", session.connected, session.follows)


async def _until_closed(socket: web.WebSocketResponse, watcher: "asyncio.Queue[Orphan | None]") -> None:
    """What a watcher says is passed over; pings are answered meanwhile."""
    async for _ in socket:
        pass
    watcher.put_nowait(None)
