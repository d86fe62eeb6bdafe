"""Who may talk to the engine: whoever has the token, from no web page but the allowed ones. Other engines
have a token of their own, which opens nothing else.
"""

import hmac
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import BasicAuth, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from engine.admin_protocol import ARRIVALS_PATH
from engine.errors import ForbiddenOrigin, Unauthorized
from engine.service.chat_query import CHAT_PATH

_OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True)
class Keys:
    """The token of clients, if they need one, that of other engines, and the pages that may be clients."""

    token: str | None = field(default=None, repr=False)
    peer_token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()


def guard(keys: Keys) -> Middleware:
    """A middleware that lets a request through, or raises Unauthorized or ForbiddenOrigin.

    Health and metrics are open: they show numbers and opaque ids. What comes from no page has no `Origin`.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN_PATHS:
            origin = request.headers.get(hdrs.ORIGIN)
            if origin is not None and origin not in keys.origins:
                raise ForbiddenOrigin(f"pages from {origin} may not talk to this engine: see ENGINE_ORIGINS")
            of_peers = request.path.startswith(ARRIVALS_PATH)
            token, name = (keys.peer_token, "ENGINE_PEER_TOKEN") if of_peers else (keys.token, "ENGINE_TOKEN")
            if token is not None and not any(_equal(given, token) for given in _given(request)):
                raise Unauthorized(f"this engine wants its {name}: send Authorization: Bearer TOKEN")
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
