"""What no log line holds: who called whom, and what opens a door."""

import logging
import os
import re
from collections.abc import Iterable, Mapping

from worker.settings import SECRETS

# Fields of livekit-agents' own records that say who called.
PERSONAL_FIELDS = frozenset({"room", "job", "job_request", "participant", "identity"})
HIDDEN = "[hidden]"
_Args = tuple[object, ...] | Mapping[str, object] | None
_LEAST_SECRET = 12
"""Shorter ones are the development secret, which is an ordinary word."""
_PATTERNS = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"  # tokens
    r"|(?<=Bearer )\S+"
    r"|(?<=access_token=)[^&\s\"']+"
    # Telephones, as SIP has them, as people write them, and in the rooms that livekit-sip opens for them.
    r"|\bsips?:[^\s\"',;)>]+|\btel:[^\s\"',;)>]+|\bsip_\+?\d[^\s\"',;)>]*"
    r"|\+\d[\d ().-]{5,}\d"
    r"|(?<=_)\d{7,}(?=_|\b)"
)
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Discreet(logging.Filter):
    """Takes out of every record what is private: fields, known names, numbers of telephones, secrets, tokens.

    A filter of handlers, so that it sees the records of all loggers. `names` are those of rooms and people
    of which this process knows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it pass."""
        for field in [name for name in vars(record) if _is_personal(name)]:
            del vars(record)[field]
        record.args = _without_messages(record.args)
        record.msg, record.args = self.conceal(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text, record.exc_info = self.conceal(record.exc_text), None
        for field in vars(record).keys() - _STANDARD_FIELDS:
            value = str(vars(record)[field])
            if (concealed := self.conceal(value)) != value:
                setattr(record, field, concealed)
        return True

    def conceal(self, text: str) -> str:
        """The text with HIDDEN in place of what is private."""
        for word in sorted(self._words(), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", HIDDEN, text)
        return _PATTERNS.sub(HIDDEN, text)

    def _words(self) -> Iterable[str]:
        secrets = (os.environ.get(name, "") for name in SECRETS)
        return self.names | {secret for secret in secrets if len(secret) >= _LEAST_SECRET}


def _is_personal(field: str) -> bool:
    """livekit-agents marks by `pii` what callers said, what tools were told and what they answered."""
    return field in PERSONAL_FIELDS or "pii" in field.split(".")


def _without_messages(args: _Args) -> _Args:
    """The SDK logs an event that it failed at as a whole: with names, attributes, words."""
    if not isinstance(args, tuple):
        return args
    return tuple(type(arg).__name__ if hasattr(arg, "DESCRIPTOR") else arg for arg in args)
