"""Log lines for people or for machines: a fixed message, its values as fields."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["plain", "json"]

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_to_stderr(log_format: LogFormat) -> logging.Handler:
    """Send everything from INFO on to stderr; the handler that does it."""
    kind = PlainFormatter if log_format == "plain" else JsonFormatter
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(kind())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    return handler


class _FieldsFormatter(logging.Formatter):
    """Knows what was given as `extra`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        return {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}


class PlainFormatter(_FieldsFormatter):
    """The message, then its fields as name=value."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = " ".join(f"{name}={value}" for name, value in self.fields(record).items())
        return f"{super().formatMessage(record)} {fields}".rstrip()


class JsonFormatter(_FieldsFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.fields(record),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        elif record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
