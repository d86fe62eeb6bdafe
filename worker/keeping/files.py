"""The files of a call: their names, who may read them, and for how long they are kept."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from engine.errors import SettingError

TRANSCRIPT = ".transcript.jsonl"
RECORDING = ".recording.wav"
_OURS = re.compile(rf"[\w-]+({re.escape(TRANSCRIPT)}|{re.escape(RECORDING)})")
_DAY_S = 86400.0


def prepare(folder: Path) -> None:
    """Make the folder, for this user alone if it is new. Raises SettingError if nothing can be put there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise SettingError(f"nothing can be kept in {folder}: {error.strerror}") from None
    if not usable:
        raise SettingError(f"nothing can be kept in {folder}: this user may not write there")


def open_private(path: Path, *, anew: bool) -> BinaryIO:
    """Open for writing, readable by this user alone. anew: there must be none yet; else write to its end.

    Raises OSError.
    """
    flags = os.O_EXCL if anew else os.O_APPEND
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600), "wb")


def file_name(call_id: str, kind: str) -> str:
    """The name of a call's file. What is no letter, digit or hyphen in an id is written as a hyphen."""
    return re.sub(r"[^\w-]", "-", call_id) + kind


def delete_old(folder: Path, days: float, now: float | None = None) -> int:
    """Delete the files of calls that were last written `days` ago or earlier; how many. Raises OSError.

    Whatever else lies there stays.
    """
    before = (datetime.now(UTC).timestamp() if now is None else now) - days * _DAY_S
    old = [path for path in _of_calls(folder) if path.lstat().st_mtime <= before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _of_calls(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if _OURS.fullmatch(path.name))
