"""What was said in a call, kept in a file: JSON lines, one for each segment."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from worker.keeping import files
from worker.keeping.numbers import redact
from worker.keeping.writer import Writer


class Who(StrEnum):
    """Whose words a line has. Callers' are known where a recogniser hears them, and an answer is an LLM's."""

    MODEL = "model"
    WORKER = "worker"
    CALLER = "caller"
    ANSWER = "answer"


def _unix_time() -> float:
    return datetime.now(UTC).timestamp()


class TranscriptFile:
    """`{"time_s": Unix time of its beginning, "who": as in `Who`, "text": "..."}`, a line each.

    A call that goes on in another job goes on in its file.
    """

    def __init__(
        self, folder: Path, call_id: str, *, redacted: bool, clock: Callable[[], float] = _unix_time
    ) -> None:
        path = folder / files.file_name(call_id, files.TRANSCRIPT)
        self._redacted = redacted
        self._clock = clock
        self._writer = Writer(lambda: files.open_private(path, anew=False), call_id)
        self._text = ""
        self._began_at = 0.0

    def write(self, text: str, *, ends: bool = False) -> None:
        """The model said a piece of a segment, which may end with it."""
        if text and not self._text:
            self._began_at = self._clock()
        self._text += text
        if ends and self._text:
            self._write(self._began_at, Who.MODEL, self._text)
            self._text = ""

    def notice(self, text: str) -> None:
        """The worker told this."""
        self._write(self._clock(), Who.WORKER, text)

    def line(self, who: Who, text: str, began_at: float) -> None:
        """A whole segment of somebody's, which began then, in Unix time."""
        self._write(began_at, who, text)

    def close(self) -> None:
        """Write what is left."""
        self.write("", ends=True)
        self._writer.close()

    def _write(self, began_at: float, who: Who, text: str) -> None:
        if self._redacted and who is not Who.WORKER:
            text = redact(text)
        line = {"time_s": round(began_at, 3), "who": who, "text": text}
        self._writer.do(lambda file: file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n"))
