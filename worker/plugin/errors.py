"""The engine's errors as the framework and its users expect them."""

from livekit.agents import APIConnectionError, APIError, APIStatusError

from engine.errors import EngineError, EngineUnreachable


def api_error(error: EngineError) -> APIError:
    """APIConnectionError where nobody answers; else an APIStatusError whose body names the engine's error."""
    if isinstance(error, EngineUnreachable):
        return APIConnectionError(str(error))
    return APIStatusError(str(error), status_code=error.http_status, body=error.to_wire())
