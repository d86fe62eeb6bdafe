"""Whoever watches for sessions that lost their connection."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.admin_protocol import Orphan


class Orphans:
    """Tells every watcher of each orphan. Used from the event loop alone."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[Orphan | None]] = set()

    def tell(self, orphan: Orphan) -> None:
        """A session of a room has lost its connection."""
        for watcher in self._watchers:
            watcher.put_nowait(orphan)

    @contextmanager
    def watch(self) -> Iterator["asyncio.Queue[Orphan | None]"]:
        """Every orphan from now on; None when there will be no more."""
        watcher: asyncio.Queue[Orphan | None] = asyncio.Queue()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """There will be no more."""
        for watcher in self._watchers:
            watcher.put_nowait(None)
