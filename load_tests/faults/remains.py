"""Processes that a test has started, and what of them is there when it has ended."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

_EVERY_S = 0.5
_PATIENCE_S = 10.0


class Remains:
    """`known`: every process that was started while the block ran, by us or by one of those."""

    def __init__(self) -> None:
        self.known: set[psutil.Process] = set()
        self._before: set[psutil.Process] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._note_all, name="remains", daemon=True)

    def left_over(self, patience_s: float = _PATIENCE_S) -> tuple[str, ...]:
        """After the block: what has not ended by itself, as it was called. It is ended now."""
        _, alive = psutil.wait_procs(self.known, patience_s)
        names = []
        for process in alive:
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    # It has ended, and whoever is to take note of it has not yet.
                    continue
                names.append(" ".join(process.cmdline()[:4]) or process.name())
                process.kill()
        return tuple(names)

    def __enter__(self) -> Self:
        self._before = set(psutil.Process().children())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _note_all(self) -> None:
        me = psutil.Process()
        while not self._over.wait(_EVERY_S):
            for child in set(me.children()) - self._before:
                self.known.add(child)
                with suppress(psutil.NoSuchProcess):
                    self.known.update(child.children(recursive=True))
