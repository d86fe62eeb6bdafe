"""Many callers in several processes, who all begin at the same moment."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError, UserError
from load_tests.callers.one_call import LISTENS_ON_S, Seat
from load_tests.callers.orders import Orders
from load_tests.callers.recorded import CallRecorded

USER_ERROR = 2
"""Exit code of a process that says what its user did wrong."""
_RECORDINGS_TIMEOUT_S = 300.0
_START_S = 1.0
_END_TIMEOUT_S = 60.0

Watch = Callable[[float, float], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Manner:
    """How callers are put into processes: what a process runs, how many it holds, how far apart they join.

    alternating: neighbours are in different processes, up to `processes` of them.
    """

    module: str
    per_process: int
    join_spacing_s: float
    processes: int | None = None

    def groups(self, seats: Sequence[Seat]) -> list[tuple[Seat, ...]]:
        """Those of each process."""
        if self.processes is not None:
            count = min(self.processes, len(seats))
            return [tuple(seats[first::count]) for first in range(count)]
        return [
            tuple(seats[first : first + self.per_process]) for first in range(0, len(seats), self.per_process)
        ]


TOGETHER = Manner("load_tests.callers.process", per_process=8, join_spacing_s=0.25)
"""All speak at the same time, through WebRTC: as many as one Python process sustains."""


class CallersFailed(EngineError):
    """A process of callers ended, or said nothing, before its calls were over."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the callers' own process failed: {what}")


async def record(
    seats: Sequence[Seat],
    seed: int,
    seconds: float,
    folder: Path,
    watch: Watch,
    inside: Callable[[list[str]], list[str]] = list,
    manner: Manner = TOGETHER,
) -> list[CallRecorded]:
    """Every caller's call, in the order of `seats`.

    watch: runs while callers speak, is told when that begins and ends by time.monotonic(). inside: makes of a
    command the one that runs it where callers are to be. Raises CallersFailed, UserError.
    """
    orders = Orders((), seed, seconds, manner.join_spacing_s, str(folder))
    command = inside([sys.executable, "-m", manner.module])
    all_orders = [replace(orders, seats=group) for group in manner.groups(seats)]
    async with _processes(all_orders, folder, command) as processes:
        patience_s = _RECORDINGS_TIMEOUT_S + len(seats) * manner.join_spacing_s
        await asyncio.gather(*(process.hear("ready", patience_s) for process in processes))
        begins_at = time.monotonic() + _START_S
        for process in processes:
            process.tell(str(begins_at))
        watching = asyncio.create_task(watch(begins_at, begins_at + seconds))
        patience_s = _START_S + seconds + LISTENS_ON_S + _END_TIMEOUT_S
        try:
            await asyncio.gather(*(process.hear("done", patience_s) for process in processes))
        finally:
            # It is over before they are, unless nobody was let in or something went wrong.
            if not watching.done():
                watching.cancel()
            await asyncio.wait([watching])
        if not watching.cancelled():
            watching.result()
    return [CallRecorded.read(folder, seat.number) for seat in seats]


@dataclass(frozen=True, slots=True)
class _Callers:
    """One process of callers, and the file with what it complains about."""

    process: Process
    complaints: Path

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def hear(self, word: str, patience_s: float) -> None:
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(patience_s):
                said = await self.process.stdout.readline()
        except TimeoutError:
            raise CallersFailed(f"nothing from it for {patience_s:.0f} s") from None
        if said.decode().strip() != word:
            code = await self.process.wait()
            complaint = self.complaints.read_text().strip()
            if code == USER_ERROR:
                raise UserError(complaint)
            raise CallersFailed(complaint or f"it ended with code {code}")


@asynccontextmanager
async def _processes(
    orders: Sequence[Orders], folder: Path, command: Sequence[str]
) -> AsyncIterator[list[_Callers]]:
    started: list[_Callers] = []
    try:
        for number, order in enumerate(orders):
            complaints = folder / f"process-{number}.log"
            with complaints.open("wb") as file:
                process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=file)
            started.append(_Callers(process, complaints))
            started[-1].tell(order.to_json())
        yield started
    finally:
        for each in started:
            if each.process.returncode is None:
                each.process.terminate()
            await each.process.wait()
