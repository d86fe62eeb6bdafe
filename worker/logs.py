"""What the worker's log does not hold: words, names, rooms, and noise."""

import logging

from engine.logs import LogFormat, log_to_stderr

# Fields of livekit-agents' own records that say who called.
PERSONAL_FIELDS = frozenset({"room", "job", "job_request", "participant", "identity"})

# Of the SDK, at the end of every subscription and of no consequence.
_NOISE = "Attempted to drop unknown FFI handle"


def set_up(log_format: LogFormat) -> None:
    """Send everything from INFO on to stderr, of the SDK from WARNING on."""
    log_to_stderr(log_format, hidden=PERSONAL_FIELDS).addFilter(is_news)
    logging.getLogger("livekit").setLevel(logging.WARNING)
    logging.getLogger("livekit.agents").setLevel(logging.INFO)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line is worth its place."""
    return _NOISE not in record.getMessage()
