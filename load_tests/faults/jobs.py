"""Which process has which session, by what workers log."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TAKEN = ("call began", "call goes on", "call began anew")


def job_of(session: str, logs: Iterable[Path]) -> int | None:
    """The process that was the last to take a session of the engine; None if none did.

    logs: of workers, in JSON.
    """
    taken = []
    for log in logs:
        for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("session") == session and told.get("message") in _TAKEN and "pid" in told:
                    taken.append((str(told["time"]), int(told["pid"])))
    return max(taken)[1] if taken else None
