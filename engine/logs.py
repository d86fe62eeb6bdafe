"""Log lines for people and machines alike: a fixed message, its values as key=value."""

import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _KeyValueFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        values = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return " ".join([line, *(f"{name}={value}" for name, value in values.items())])


def log_to_stderr(level: str = "INFO") -> None:
    """Send this process's log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_KeyValueFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
