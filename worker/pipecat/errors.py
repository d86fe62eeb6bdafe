"""The engine's errors as Pipecat sorts them."""

from pipecat.utils.errors import ErrorCategory, classify_http_status_code

from engine.errors import EngineError, EngineUnreachable


def category(error: EngineError) -> ErrorCategory:
    """CONNECTIVITY where nobody answers; else that of the engine's HTTP answer."""
    if isinstance(error, EngineUnreachable):
        return ErrorCategory.CONNECTIVITY
    return classify_http_status_code(error.http_status)
