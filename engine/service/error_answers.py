"""What an HTTP client is told of an error: its status, its code, its sentence, and when to come again."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from engine.errors import EngineError, Refused


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an EngineError that is raised below."""
    try:
        return await handler(request)
    except EngineError as error:
        headers = {hdrs.RETRY_AFTER: str(error.retry_after_s)} if isinstance(error, Refused) else None
        return web.json_response(error.to_wire(), status=error.http_status, headers=headers)
