"""LiveKit's signalling at our own address: one origin and one certificate are enough for a caller."""

import asyncio
import logging

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

log = logging.getLogger(__name__)

PATH = "/rtc"
# A client's whole offer may travel in the query.
MAX_LINE_BYTES = 256 * 1024
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_CONNECT_S = 10.0
_PASSED_ON = (hdrs.AUTHORIZATION, hdrs.USER_AGENT)

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class Signalling:
    """Passes everything below PATH on to a LiveKit server, which checks the tokens itself."""

    def __init__(self, livekit_url: str, http: aiohttp.ClientSession) -> None:
        base = URL(livekit_url)
        self._base = base.with_scheme({"ws": "http", "wss": "https"}.get(base.scheme, base.scheme))
        self._http = http

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket is passed on message by message, anything else is asked once."""
        # As it was sent: decoded and encoded again, a query need not be the same.
        url = URL(f"{str(self._base).rstrip('/')}{request.rel_url.raw_path_qs}", encoded=True)
        headers = {str(name): request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await self._converse(request, url, headers)
            async with self._http.get(url, headers=headers, allow_redirects=False) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    headers={hdrs.CONTENT_TYPE: answer.headers.get(hdrs.CONTENT_TYPE, "text/plain")},
                )
        except aiohttp.WSServerHandshakeError as refusal:
            return web.Response(status=refusal.status, text=refusal.message)
        except (aiohttp.ClientError, TimeoutError):
            log.warning("the LiveKit server does not answer")
            return web.Response(status=502, text="the LiveKit server does not answer")

    async def _converse(self, request: web.Request, url: URL, headers: dict[str, str]) -> web.StreamResponse:
        async with asyncio.timeout(_CONNECT_S):
            theirs = await self._http.ws_connect(url, headers=headers, max_msg_size=_MAX_MESSAGE_BYTES)
        try:
            ours = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE_BYTES, compress=False)
            await ours.prepare(request)
            pumps = [asyncio.create_task(_pump(ours, theirs)), asyncio.create_task(_pump(theirs, ours))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            await ours.close(code=theirs.close_code or aiohttp.WSCloseCode.OK)
        finally:
            await theirs.close()
        return ours


async def _pump(source: _Socket, target: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
