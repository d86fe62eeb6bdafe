"""Processes that a test has started, and what of them is there when it has ended."""

from contextlib import suppress
from typing import Self

import psutil

from load_tests.faults.sampler import Sampler

_EVERY_S = 0.5
_PATIENCE_S = 10.0


class Remains(Sampler):
    """`known`: every process that was started while the block ran, by us or by one of those."""

    def __init__(self) -> None:
        super().__init__("remains", _EVERY_S, self._note_all)
        self.known: set[psutil.Process] = set()
        self._before: set[psutil.Process] = set()

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
        return super().__enter__()

    def _note_all(self) -> None:
        for child in set(psutil.Process().children()) - self._before:
            self.known.add(child)
            with suppress(psutil.NoSuchProcess):
                self.known.update(child.children(recursive=True))
