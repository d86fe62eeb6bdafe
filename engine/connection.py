"""How the engine's clients reach it: its address, requests to it, and what goes wrong on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
from yarl import URL

from engine.errors import EngineError, EngineUnreachable, SettingError, error_from_wire

ANSWER_TIMEOUT_S = 5.0
HEARTBEAT_S = 10.0


class Connection:
    """Requests to one address: `ws://host:port`, `wss://host:port` or `unix:/path/of/socket`.

    name: of the setting that it comes from. Build it inside a running event loop. Raises SettingError.
    """

    def __init__(self, url: str, name: str, token: str | None = None) -> None:
        self.url = url
        self._name = name
        self._base, socket = _parse_address(url, name)
        connector = aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector()
        self.http = aiohttp.ClientSession(
            connector=connector,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
            raise_for_status=_raise_engine_error,
        )

    def at(self, path: str) -> URL:
        """The address of `path`."""
        return self._base.with_path(path)

    @asynccontextmanager
    async def reaching(self) -> AsyncIterator[None]:
        """Raises EngineUnreachable for what says that nobody answers."""
        try:
            yield
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachable(
                f"no engine answers at {self.url} ({error or type(error).__name__}): "
                f"is it running, and is {self._name} right?"
            ) from error

    async def receive(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        """The next message. Raises EngineUnreachable when the connection is lost or closed."""
        try:
            message = await socket.receive()
        except (aiohttp.ClientError, ConnectionError) as error:
            raise self.lost() from error
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise self.lost()
        return message

    def lost(self) -> EngineUnreachable:
        """The error of a WebSocket that closed without a word."""
        return EngineUnreachable(f"the connection to the engine at {self.url} was lost")


def check_address(url: str, name: str) -> None:
    """Raises SettingError for what is none. name: of the setting that it comes from."""
    _parse_address(url, name)


def _parse_address(url: str, name: str) -> tuple[URL, str]:
    """The base URL, and the Unix socket by which it is reached if it is by one."""
    if url.startswith("unix:") and len(url) > len("unix:"):
        return URL("http://engine"), url.removeprefix("unix:")
    with suppress(ValueError):
        base = URL(url)
        if base.scheme in ("ws", "wss") and base.host:
            return base.with_scheme("http" if base.scheme == "ws" else "https"), ""
    raise SettingError(
        f"{name}={url!r} is not an address: give ws://host:port, wss://host:port or unix:/path"
    )


async def _raise_engine_error(answer: aiohttp.ClientResponse) -> None:
    """Turn an HTTP error into the engine's own; an answer without its JSON comes from something else."""
    if answer.ok:
        return
    try:
        error = error_from_wire(await answer.json())
    except (aiohttp.ContentTypeError, ValueError, KeyError, AttributeError):
        error = EngineError(f"HTTP {answer.status} from {answer.url}: is this the address of an engine?")
    raise error
