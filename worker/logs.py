"""Log lines for people (`dev`) or for machines (`start`). Neither holds words, names or rooms."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# Fields of livekit-agents' own records that say who called.
PERSONAL_FIELDS = frozenset({"room", "job", "job_request", "participant", "identity"})


# Of the SDK, at the end of every subscription and of no consequence.
_NOISE = "Attempted to drop unknown FFI handle"


def set_up(*, for_people: bool) -> None:
    """Send everything from INFO on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s") if for_people else JsonFormatter()
    )
    handler.addFilter(is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("livekit").setLevel(logging.WARNING)
    logging.getLogger("livekit.agents").setLevel(logging.INFO)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line is worth its place."""
    return _NOISE not in record.getMessage()


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`, without PERSONAL_FIELDS."""
    hidden = _STANDARD_FIELDS | PERSONAL_FIELDS
    return {name: value for name, value in record.__dict__.items() if name not in hidden}


class PlainFormatter(logging.Formatter):
    """The message, then its fields as name=value."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        return f"{super().formatMessage(record)} {fields}".rstrip()


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
