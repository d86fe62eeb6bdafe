"""The engine's HTTP surface: sessions and seats for those with the token, health and metrics for
everybody."""

from dataclasses import asdict, replace

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from engine.errors import SessionError
from engine.protocol import MODEL_PATH, SEATS_PATH, SESSION_PATH
from engine.service.arrivals import Arrivals
from engine.service.auth import Keys, guard
from engine.service.chat_query import CHAT_PATH
from engine.service.chat_socket import ChatSocket
from engine.service.error_answers import errors_as_json
from engine.service.metrics import Metrics
from engine.service.places import Places
from engine.service.returns import Returns
from engine.service.seats import Seats
from engine.service.session_socket import SessionSocket
from engine.service.sessions import Sessions
from engine.service.speech_socket import SpeechSocket
from engine.service.speeches import Speeches
from engine.service.transcribe_socket import TranscribeSocket
from engine.service.transcriptions import Transcriptions
from engine.speech_protocol import SPEECH_PATH
from engine.transcript_protocol import TRANSCRIBE_PATH

_MAX_BODY_BYTES = 4096


def build_app(
    sessions: Sessions,
    returns: Returns,
    seats: Seats,
    places: Places,
    metrics: Metrics,
    chat: ChatSocket,
    arrivals: Arrivals | None,
    keys: Keys,
    transcriptions: Transcriptions | None = None,
    speeches: Speeches | None = None,
) -> web.Application:
    """Every route, behind the guard."""
    app = web.Application(middlewares=[errors_as_json, guard(keys)], client_max_size=_MAX_BODY_BYTES)

    async def reserve(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            seat, ttl_s = str(body["id"]), float(body.get("ttl_s", 20.0))
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise SessionError('a seat is asked for with {"id": "...", "ttl_s": seconds}') from None
        sessions.reserve(seat, ttl_s)
        return web.json_response({"id": seat, "ttl_s": ttl_s}, status=201)

    async def release(request: web.Request) -> web.Response:
        seats.release(request.match_info["id"])
        return web.Response(status=204)

    async def count(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "seats": seats.total,
                "in_calls": seats.in_calls,
                "reserved": seats.reserved,
                "held": places.held_in_slots + places.held_in_host_memory,
            }
        )

    async def model(_request: web.Request) -> web.Response:
        card = replace(sessions.card, transcribes=transcriptions.model.name if transcriptions else None)
        if speeches is not None:
            card = replace(card, speaks=speeches.model.name, speech_voices=tuple(speeches.model.voices))
        return web.json_response(asdict(card))

    async def healthz(_request: web.Request) -> web.Response:
        return _status("broken" if sessions.state == "broken" else "ok")

    async def readyz(_request: web.Request) -> web.Response:
        return _status("ok" if sessions.state == "open" else sessions.state)

    async def metrics_page(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_0_0_4})

    app.add_routes(
        [
            web.get(CHAT_PATH, chat.handle),
            web.get(SESSION_PATH, SessionSocket(sessions, returns, metrics).handle),
            web.post(SEATS_PATH, reserve),
            web.get(SEATS_PATH, count),
            web.delete(SEATS_PATH + "/{id}", release),
            web.get(TRANSCRIBE_PATH, TranscribeSocket(transcriptions).handle),
            web.get(SPEECH_PATH, SpeechSocket(speeches).handle),
            web.get(MODEL_PATH, model),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics_page),
        ]
    )
    if arrivals is not None:
        app.add_routes(arrivals.routes())
    app.on_cleanup.append(chat.close)
    return app


def _status(status: str) -> web.Response:
    return web.json_response({"status": status}, status=200 if status == "ok" else 503)
