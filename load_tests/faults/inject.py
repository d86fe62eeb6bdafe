"""How each fault is done to a stage and its guests."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from load_tests.faults.eye import Eye
from load_tests.faults.guest import Guest
from load_tests.faults.schedule import Slot
from load_tests.faults.stage import Stage
from load_tests.faults.talker import Do

AWAY_S = 3.0
LOSS_S = 10.0
BURST_S, BETWEEN_BURSTS_S, BURSTS = 0.2, 3.0, 3
HALTED_S = 3.0
DRAINS_FOR_S = 6.0
_ENDS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: `ended_at`, None if what happens after the fault belongs to it; `failed`: why it could
    not be done, or what was not as it should be.
    """

    ended_at: float | None = None
    failed: str | None = None


@dataclass(slots=True)
class Injector:
    """`do` one after the other."""

    stage: Stage
    guests: Sequence[Guest]
    eye: Eye

    async def do(self, slot: Slot) -> Done:
        """Returns when no more is done for it. Raises StageFailed, StackError."""
        if slot.victim is None:
            return await self._to_all[slot.kind.short]()
        return await self._to_one[slot.kind.short](self.guests[slot.victim])

    @property
    def _to_all(self) -> dict[str, Callable[[], Awaitable[Done]]]:
        return {
            "nothing": self._nothing,
            "worker": self._kill_worker,
            "drain": self._replace_worker,
            "halt": self._halt_engine,
            "engine": self._kill_engine,
            "livekit": self._kill_livekit,
        }

    @property
    def _to_one(self) -> dict[str, Callable[[Guest], Awaitable[Done]]]:
        return {
            "signal": self._telling(Do.SIGNAL),
            "full": self._telling(Do.FULL),
            "reload": self._telling(Do.AWAY),
            "away": self._telling(Do.AWAY, AWAY_S),
            "bursts": self._bursts,
            "loss5": self._network("loss-5", LOSS_S),
            "loss10": self._network("loss-10", LOSS_S),
            "line": self._network("gone", AWAY_S),
            "job": self._kill_job,
        }

    async def _nothing(self) -> Done:
        return Done()

    def _telling(self, what: Do, seconds: float = 0.0) -> Callable[[Guest], Awaitable[Done]]:
        async def tell(guest: Guest) -> Done:
            guest.tell(what, seconds)
            return Done()

        return tell

    def _network(self, name: str, seconds: float) -> Callable[[Guest], Awaitable[Done]]:
        async def spoil(guest: Guest) -> Done:
            guest.network(name)
            await asyncio.sleep(seconds)
            guest.network("plain")
            return Done()

        return spoil

    async def _bursts(self, guest: Guest) -> Done:
        for _ in range(BURSTS):
            await self._network("gone", BURST_S)(guest)
            await asyncio.sleep(BETWEEN_BURSTS_S)
        return Done()

    async def _kill_job(self, guest: Guest) -> Done:
        session = self.eye.session_of(guest.room, time.monotonic())
        job = self.stage.job_of(session) if session else None
        if job is None:
            return Done(failed="its job was not found")
        with suppress(ProcessLookupError):
            os.kill(job, signal.SIGKILL)
        return Done()

    async def _kill_worker(self) -> Done:
        self.stage.worker.send(signal.SIGKILL)
        self.stage.start_worker()
        return Done()

    async def _replace_worker(self) -> Done:
        """Once the new one is there the old one is asked to go; then all hang up, and call again."""
        old = self.stage.worker
        self.stage.start_worker()
        await self.stage.until(self.stage.worker.ready.is_set)
        old.send(signal.SIGTERM)
        await asyncio.sleep(DRAINS_FOR_S)
        ended_at = time.monotonic()
        early = old.ended_with
        for guest in self.guests:
            guest.tell(Do.CALL_AGAIN)
        await asyncio.to_thread(old.wait, _ENDS_WITHIN_S)
        failed = None
        if early is not None:
            failed = f"the old worker ended with {early} while it had calls"
        elif old.ended_with != 0:
            told = "did not end" if old.ended_with is None else f"ended with {old.ended_with}"
            failed = f"the old worker {told} after its calls"
        return Done(ended_at, failed)

    async def _halt_engine(self) -> Done:
        self.stage.engine.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(HALTED_S)
        finally:
            self.stage.engine.send(signal.SIGCONT)
        return Done()

    async def _kill_engine(self) -> Done:
        self.stage.engine.send(signal.SIGKILL)
        self.stage.start_engine()
        return Done()

    async def _kill_livekit(self) -> Done:
        self.stage.livekit.send(signal.SIGKILL)
        self.stage.start_livekit()
        return Done()
