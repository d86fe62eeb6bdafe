"""The line from each job to its worker: what happens in a call, counted where somebody can read it.

A Unix socket, a connection for each call, a JSON object a line. A job that ends without a word of the end was
killed, and counts as `LOST`.
"""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from worker.watching.diary import Event, Fact
from worker.watching.worker_metrics import LOST, WorkerMetrics

log = logging.getLogger(__name__)

VARIABLE = "MOSHI_CALLS_SOCKET"
_TOLD = ("reason", "seconds")
"""Facts that the worker counts by; the others are for the log and the span."""


@asynccontextmanager
async def listening(metrics: WorkerMetrics) -> AsyncIterator[Path]:
    """Count what jobs tell until the block is left; the socket, which VARIABLE names to them."""
    tasks: set[asyncio.Task[None]] = set()

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_count(reader, writer, metrics))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with tempfile.TemporaryDirectory(prefix="moshi-worker-") as folder:
        socket = Path(folder) / "calls.sock"
        async with await asyncio.start_unix_server(answer, socket):
            try:
                yield socket
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, metrics: WorkerMetrics) -> None:
    ended = False
    try:
        async for line in reader:
            told = json.loads(line)
            event = Event(told["event"])
            if event is Event.ENDED:
                ended = True
                metrics.call_ended(str(told["reason"]), told.get("seconds"))
            else:
                metrics.happened(event)
        if not ended:
            metrics.call_ended(LOST, None)
    except (ConnectionError, LookupError, TypeError, ValueError) as strange:
        log.warning("a job told of its call what nobody understands", extra={"detail": str(strange)})
    finally:
        writer.close()


class JobLine:
    """The job's end; `tell` is a reader of the call's diary."""

    def __init__(self, writer: asyncio.StreamWriter | None) -> None:
        self._writer = writer

    @classmethod
    async def open(cls) -> "JobLine":
        """To whom VARIABLE names. Where it names nobody who listens, nobody is told: no call waits for it."""
        writer = None
        if socket := os.environ.get(VARIABLE):
            with suppress(OSError):
                _, writer = await asyncio.open_unix_connection(socket)
        return cls(writer)

    def tell(self, event: Event, facts: Mapping[str, Fact]) -> None:
        """One line."""
        if self._writer is not None and not self._writer.is_closing():
            told = {name: facts[name] for name in _TOLD if name in facts}
            self._writer.write(json.dumps({"event": event, **told}).encode() + b"\n")

    async def close(self) -> None:
        """Wait until it is told."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
