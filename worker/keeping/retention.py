"""Deletes what has been kept for long enough."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.errors import SettingError
from worker.keeping import files
from worker.privacy import keeping_in
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)

EVERY_S = 3600.0


class Retention:
    """The task that does it, in the worker's main process."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, as the environment says. A worker with bad settings has other troubles."""
        with suppress(SettingError):
            settings = WorkerSettings.load()
            folders = keeping_in(settings).folders
            if folders and settings.worker_keep_days:
                self._task = asyncio.create_task(keep_for(settings.worker_keep_days, folders))

    async def stop(self) -> None:
        """Delete nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def keep_for(days: float, folders: Iterable[Path]) -> None:
    """Delete what is older, now and every hour, until cancelled."""
    while True:
        for folder in folders:
            try:
                deleted = await asyncio.to_thread(files.delete_old, folder, days)
            except OSError as error:
                log.error("what is kept of calls could not be deleted", extra={"detail": error.strerror})
                continue
            if deleted:
                log.info("deleted what was kept of calls", extra={"files": deleted, "days": days})
        await asyncio.sleep(EVERY_S)
