"""What the worker's web server answers: the page, a call, LiveKit's signalling, and its events."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from aiohttp import hdrs, web

from engine.client import EngineClient
from engine.errors import EngineError, SessionError
from engine.protocol import ModelCard, SessionRequest
from engine.service.error_answers import errors_as_json
from worker.conversation.session_parameters import parse
from worker.privacy import notice_in
from worker.settings import WorkerSettings
from worker.watching.worker_metrics import ACCEPTED
from worker.web import signalling, webhook
from worker.web.calls import Calls
from worker.web.door import Door
from worker.web.refusals import NoEngine
from worker.web.signalling import Signalling
from worker.web.webhook import Webhook

CALL_PATH = "/api/call"
PAGE = Path(__file__).parents[1] / "page" / "dist"
_FAILED = "failed"
_MAX_BODY_BYTES = 16 * 1024
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss: https:; img-src 'self' data:; "
        "media-src 'self' blob: mediastream:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def build_app(
    settings: WorkerSettings,
    engine: EngineClient | None,
    calls: Calls,
    door: Door,
    livekit: Signalling,
    events: Webhook,
    page: Path = PAGE,
    count: Callable[[str], None] = lambda _result: None,
) -> web.Application:
    """Every route. `engine`: None where calls need none; `page`: the folder of the built page; `count`: told
    what becomes of each call that is asked for, ACCEPTED or the error's code.
    """
    app = web.Application(middlewares=[errors_as_json], client_max_size=_MAX_BODY_BYTES)
    app.on_response_prepare.append(_make_safe)

    async def describe(request: web.Request) -> web.Response:
        door.look(request)
        card = await _card(engine, settings)
        return _never_stored(
            {
                "model": card.model,
                "secret": door.secret is not None,
                "settings": list(card.settings),
                "voices": list(card.voices),
                "notice": notice_in(settings, settings.worker_mode),
            }
        )

    async def call(request: web.Request) -> web.Response:
        result = _FAILED
        try:
            answer = await admit(request)
            result = ACCEPTED
            return answer
        except EngineError as refusal:
            result = refusal.code
            raise
        finally:
            count(result)

    async def admit(request: web.Request) -> web.Response:
        door.check(request)
        wanted, last_token = await _read(request)
        card = await _card(engine, settings)
        foreign = [name for name in wanted.to_query() if name not in card.settings]
        if foreign:
            raise SessionError(f"{card.model} takes no {foreign[0]}: leave it out")
        offer = await calls.offer(wanted, last_token)
        return _never_stored({"url": livekit_url(settings, request), **asdict(offer)})

    async def index(_request: web.Request) -> web.StreamResponse:
        if not (page / "index.html").is_file():
            return web.Response(
                status=503, text="The page is not built: run `make setup`, which needs Node 20.\n"
            )
        return web.FileResponse(page / "index.html", headers={hdrs.CACHE_CONTROL: "no-cache"})

    app.add_routes(
        [
            web.get(CALL_PATH, describe),
            web.post(CALL_PATH, call),
            web.get(signalling.PATH, livekit.handle),
            web.get(signalling.PATH + "/{below:.*}", livekit.handle),
            web.post(webhook.PATH, events.handle),
            web.get("/", index),
        ]
    )
    if page.is_dir():
        app.add_routes([web.static("/", page)])
    return app


def livekit_url(settings: WorkerSettings, request: web.Request) -> str:
    """Where this caller finds LiveKit: the server itself where it has TLS, else by way of this one."""
    if settings.livekit_url.startswith(("wss:", "https:")):
        return settings.livekit_url.replace("https:", "wss:", 1)
    # A proxy's word, or that of a caller who would fool nobody else.
    secure = request.headers.get(hdrs.X_FORWARDED_PROTO, request.scheme) == "https"
    return f"{'wss' if secure else 'ws'}://{request.host}"


async def _card(engine: EngineClient | None, settings: WorkerSettings) -> ModelCard:
    if engine is None:
        return ModelCard(settings.worker_llm_model, 0, settings=())
    try:
        return await engine.model()
    except EngineError as silence:
        raise NoEngine from silence


async def _read(request: web.Request) -> tuple[SessionRequest, str | None]:
    """The parameters of a call and the token of the last one. Raises SessionError."""
    try:
        # A page elsewhere can send a form or a text unasked, but no JSON.
        body = await request.json() if request.content_type == "application/json" else None
    except (LookupError, RecursionError, ValueError):
        body = None
    if not isinstance(body, dict):
        raise SessionError('a call is asked for with a JSON object: {"temperature": 0.8}, or {}')
    last_token = body.pop("call", None)
    if not isinstance(last_token, str | None):
        raise SessionError("call is the token of the last call, a text")
    return parse(body), last_token


def _never_stored(body: dict[str, object]) -> web.Response:
    return web.json_response(body, headers={hdrs.CACHE_CONTROL: "no-store"})


async def _make_safe(_request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(_SAFE)
