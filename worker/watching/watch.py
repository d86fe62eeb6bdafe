"""What a job notes of its call, and to whom it goes: the worker's counts, and a span where one is wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.room.reasons import Reason
from worker.watching.diary import Diary, Event
from worker.watching.line import JobLine
from worker.watching.span import CallSpan, begin_span
from worker.watching.worker_metrics import NOT_JOINED


class Watch:
    """One call's `diary` and its readers."""

    def __init__(self, line: JobLine, span: CallSpan | None) -> None:
        self._line = line
        self._span = span
        self.diary = Diary(line.tell, *([span.tell] if span else []))

    @classmethod
    async def begin(cls, call_id: str) -> "Watch":
        """From the first moment of the job on."""
        return cls(await JobLine.open(), begin_span(call_id))

    @asynccontextmanager
    async def joining(self) -> AsyncIterator[None]:
        """Whoever does not come into the room within has no call."""
        try:
            yield
        except BaseException:
            await self.over(NOT_JOINED)
            raise

    @asynccontextmanager
    async def beginning(self) -> AsyncIterator[None]:
        """Whoever fails within has no call either: a job that says nothing counts as one that was killed."""
        try:
            yield
        except BaseException as failure:
            stopped = isinstance(failure, asyncio.CancelledError)
            await self.over(Reason.WORKER_STOPPED if stopped else Reason.FAILED)
            raise

    async def over(self, reason: Reason | str) -> None:
        """There was no call, and why."""
        self.diary.note(Event.ENDED, reason=str(reason))
        await self.close()

    async def close(self) -> None:
        """Wait until all is told."""
        await self._line.close()
        if self._span is not None:
            await self._span.close()
