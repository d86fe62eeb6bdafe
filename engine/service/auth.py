"""Who may talk to the engine: whoever has the token, from no web page but the allowed ones."""

import hmac
from collections.abc import Iterator
from contextlib import suppress

from aiohttp import BasicAuth, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from engine.errors import ForbiddenOrigin, Unauthorized
from engine.service.chat_query import CHAT_PATH

_OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


def guard(token: str | None, origins: tuple[str, ...]) -> Middleware:
    """A middleware that lets a request through, or raises Unauthorized or ForbiddenOrigin.

    Health and metrics are open: they show numbers and opaque ids. What comes from no page has no `Origin`.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN_PATHS:
            origin = request.headers.get(hdrs.ORIGIN)
            if origin is not None and origin not in origins:
                raise ForbiddenOrigin(f"pages from {origin} may not talk to this engine: see ENGINE_ORIGINS")
            if token is not None and not any(_equal(given, token) for given in _given(request)):
                raise Unauthorized("this engine wants its ENGINE_TOKEN: send Authorization: Bearer TOKEN")
        return await handler(request)

    return middleware


def _given(request: web.Request) -> Iterator[str]:
    """The tokens that a request shows. Moshi's own clients cannot set a header: theirs come in the URL."""
    header = request.headers.get(hdrs.AUTHORIZATION, "")
    if header.startswith("Bearer "):
        yield header.removeprefix("Bearer ")
    if request.path == CHAT_PATH:
        with suppress(ValueError):
            yield BasicAuth.decode(header).password
        yield request.query.get("worker_auth_id", "")


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
