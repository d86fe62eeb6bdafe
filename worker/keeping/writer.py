"""A file that is written in a thread of its own: no sound waits for a disk."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import BinaryIO

log = logging.getLogger(__name__)


class Writer:
    """`do` things to a file, in order. A disk that is full ends no call: it is logged once."""

    def __init__(self, open_file: Callable[[], BinaryIO], call_id: str) -> None:
        self._open_file = open_file
        self._id = call_id
        self._file: BinaryIO | None = None
        self._failed = self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1)

    def do(self, work: Callable[[BinaryIO], object]) -> None:
        """Do this to the file, soon; nothing after `close`."""
        if not self._closed:
            self._thread.submit(self._do, work)

    def close(self) -> None:
        """Do what is left and close the file. It waits for the disk."""
        self._closed = True
        self._thread.shutdown()
        if self._file is not None:
            # What a full disk did not take is written again, and fails again.
            with suppress(OSError):
                self._file.close()

    def _do(self, work: Callable[[BinaryIO], object]) -> None:
        if self._failed:
            return
        try:
            if self._file is None:
                self._file = self._open_file()
            work(self._file)
            self._file.flush()
        except OSError as error:
            self._failed = True
            log.error("a call is not kept any more", extra={"call": self._id, "detail": error.strerror})
