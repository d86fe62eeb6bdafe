"""Who may talk to the engine: whoever has the token, from no web page but the allowed ones."""

import hmac

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from engine.errors import ForbiddenOrigin, Unauthorized

_OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


def guard(token: str | None, origins: tuple[str, ...]) -> Middleware:
    """A middleware that lets a request through, or raises Unauthorized or ForbiddenOrigin.

    Health and metrics are open: they show numbers and opaque ids. What comes from no page has no `Origin`.
    """

    wanted = f"Bearer {token}".encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN_PATHS:
            origin = request.headers.get(hdrs.ORIGIN)
            if origin is not None and origin not in origins:
                raise ForbiddenOrigin(f"pages from {origin} may not talk to this engine: see ENGINE_ORIGINS")
            given = request.headers.get(hdrs.AUTHORIZATION, "")
            if token is not None and not hmac.compare_digest(given.encode(errors="surrogateescape"), wanted):
                raise Unauthorized("this engine wants its ENGINE_TOKEN: send Authorization: Bearer TOKEN")
        return await handler(request)

    return middleware
