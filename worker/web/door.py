"""Who may ask for a call."""

import hmac
from collections.abc import Callable
from time import monotonic

from aiohttp import hdrs, web
from yarl import URL

from engine.environment import is_loopback
from engine.errors import ForbiddenOrigin, Unauthorized
from engine.service.network_rates import NetworkRates, network_of
from engine.service.rate_limit import RateLimit
from worker.settings import WebSettings
from worker.web.refusals import TooManyCalls

# Of one network: people who press the button again, or who sit behind one address together.
_PER_SECOND, _AT_ONCE = 1.0, 20
# Of everybody: each call makes a room.
_ALL_PER_SECOND, _ALL_AT_ONCE = 10.0, 50
# A page that is opened or reloaded asks once, a call that is tried again asks each time.
_LOOKS_PER_SECOND, _LOOKS_AT_ONCE = 5.0, 50
_SET_BY_PROXIES = (hdrs.FORWARDED, hdrs.VIA, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST)


class Door:
    """Checks requests. A wrong secret counts as a call, so that none can be guessed."""

    def __init__(self, settings: WebSettings, clock: Callable[[], float] = monotonic) -> None:
        secret = settings.worker_call_secret
        self.secret = secret.get_secret_value() if secret else None
        self.checked_upstream = settings.worker_calls_checked_upstream
        self._all = RateLimit(_ALL_PER_SECOND, _ALL_AT_ONCE, clock)
        self._each = NetworkRates(_PER_SECOND, _AT_ONCE, clock)
        self._looks = NetworkRates(_LOOKS_PER_SECOND, _LOOKS_AT_ONCE, clock)

    def check(self, request: web.Request) -> None:
        """Raises ForbiddenOrigin, TooManyCalls or Unauthorized."""
        # First: pages from elsewhere use up nothing of what may be asked for from here.
        self._check_origin(request)
        if not self._each.take(network_of(self._address(request))):
            raise TooManyCalls
        if self.secret is not None:
            given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {self.secret}".encode()):
                raise Unauthorized("calls take the WORKER_CALL_SECRET: send Authorization: Bearer SECRET")
        if not self._all.take(1):
            raise TooManyCalls

    def look(self, request: web.Request) -> None:
        """Somebody asks what a call would be like, which costs the engine a request. Raises TooManyCalls."""
        if not self._looks.take(network_of(self._address(request))):
            raise TooManyCalls

    def _check_origin(self, request: web.Request) -> None:
        own = _url(f"{request.scheme}://{request.host}")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and _url(origin).authority != own.authority:
            raise ForbiddenOrigin(f"pages from {origin} may not call here: use the page of this address")
        if self.secret is not None or self.checked_upstream:
            return
        # A page that gave its own name our address, or a proxy that lets everybody in.
        if not is_loopback(own.host or "") or any(name in request.headers for name in _SET_BY_PROXIES):
            raise ForbiddenOrigin(
                f"{request.host} is not this machine, or a proxy: calls from elsewhere take a "
                "WORKER_CALL_SECRET, or WORKER_CALLS_CHECKED_UPSTREAM=true where a proxy checks callers"
            )

    def _address(self, request: web.Request) -> str:
        """Who asks: behind a proxy whom it names, which is the last of those in its headers."""
        address = request.remote or ""
        if self.checked_upstream:
            named = request.headers.getall(hdrs.X_FORWARDED_FOR, [address])
            address = named[-1].rpartition(",")[2].strip()
        return address


def _url(text: str) -> URL:
    """An empty one for what is none."""
    try:
        return URL(text)
    except ValueError:
        return URL()
