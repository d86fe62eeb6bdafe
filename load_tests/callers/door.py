"""Callers who ask a worker's web page for a call, as people in a browser do."""

import aiohttp

from engine.errors import Refused

_CALL_PATH = "/api/call"
_TIMEOUT_S = 30.0


class TurnedAway(Refused):
    """The page did not let a caller in; it said why."""


async def let_in(page: str, secret: str = "") -> tuple[str, str, str]:
    """Address, token and room of a new call. page: as `http://127.0.0.1:8080`. Raises TurnedAway."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
            http.post(page.rstrip("/") + _CALL_PATH, json={}) as answer,
        ):
            body = await answer.json()
            if not answer.ok:
                raise TurnedAway(f"{answer.status} {body['error']}: {body['message']}")
            return str(body["url"]), str(body["token"]), str(body["room"])
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        raise TurnedAway(f"no worker's page answers at {page} ({error or type(error).__name__})") from None
