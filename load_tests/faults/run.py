"""Callers who talk all the time, and one fault after the other."""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_native_id

from deploy.stack import StackError
from engine.client import EngineClient
from engine.errors import EngineError
from load_tests.callers.run import tell
from load_tests.faults.account import Happened, account
from load_tests.faults.eye import Eye, watching
from load_tests.faults.guest import Guest
from load_tests.faults.inject import Injector
from load_tests.faults.kinds import Kind
from load_tests.faults.measured import FaultMeasured, SoakMeasured
from load_tests.faults.remains import Remains
from load_tests.faults.schedule import Slot
from load_tests.faults.stage import Stage, StageFailed
from load_tests.faults.table import beginning, progress
from load_tests.faults.talker import Do
from load_tests.faults.understand import hears_now
from load_tests.faults.watch import ProcessesWatched
from load_tests.visits import seats

LOGS = Path(".cache/soak")
_SPARE_SEATS = 2
_PATIENCE_S = 40.0
_AGAIN_S = 1.0
_TAPES_LATE_S = 2.5
_STEADY_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong, for how many callers. cabled: their network is ours to spoil; step_ms: of a model that
    only waits, None for parrot; skipped: what cannot be done here.
    """

    slots: Sequence[Slot]
    every_s: float
    callers: int
    seed: int
    cabled: bool
    step_ms: float | None = None
    skipped: tuple[Kind, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it takes if all recover in time."""
        return len(self.slots) * self.every_s


@dataclass(slots=True)
class Soak:
    """`run` it; what it has found so far is in `measured` at any time."""

    plan: Plan
    stop: asyncio.Event
    faults: list[FaultMeasured] = field(default_factory=list)
    failed: EngineError | None = None
    _stopped: str | None = None
    _seats_lost: int | None = None
    _left_over: tuple[str, ...] = ()
    _watch: ProcessesWatched | None = None
    _began_at: float = 0.0
    _ended_at: float = 0.0

    @property
    def measured(self) -> SoakMeasured:
        """Also while it runs, or after it has failed."""
        plan = self.plan
        return SoakMeasured(
            plan.seed,
            plan.every_s,
            plan.callers,
            max(0.0, self._ended_at - self._began_at),
            tuple(sorted(self.faults, key=lambda fault: fault.number)),
            self._watch.measured if self._watch else (),
            self._seats_lost,
            self._left_over,
            tuple(kind.name for kind in plan.skipped),
            self._stopped,
        )

    async def run(self) -> None:
        """Returns also where something went wrong with the test itself: `failed` then."""
        with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
            remains = Remains()
            try:
                await self._run(Path(name), remains)
            except EngineError as error:
                self.failed = error
                self._stopped = f"the test itself failed: {error}"
            except StackError as error:
                self.failed = StageFailed(str(error))
                self._stopped = f"the test itself failed: {error}"
            finally:
                self._left_over = await asyncio.to_thread(remains.left_over)

    async def _run(self, folder: Path, remains: Remains) -> None:
        plan = self.plan
        tell("LiveKit server, engine and worker of our own start")
        async with AsyncExitStack() as until_end:
            until_end.enter_context(remains)
            stage = await until_end.enter_async_context(
                Stage.open(folder, _logs(), plan.callers + _SPARE_SEATS, plan.step_ms)
            )
            eye = await until_end.enter_async_context(watching(stage))
            guests = []
            async with AsyncExitStack() as until_left:
                for number in range(plan.callers):
                    guest = Guest.invite(number, plan.seed, folder, stage.environment, cabled=plan.cabled)
                    guests.append(await until_left.enter_async_context(guest))
                show = _Show(plan, stage, guests, eye, folder, self.faults, self.stop)
                tell(f"{plan.callers} callers call; {len(plan.slots)} faults, {plan.every_s:g} s apart")
                await show.until_all_are_in()
                await asyncio.sleep(_STEADY_S)
                self._watch = ProcessesWatched(lambda: stage.roles)
                self._began_at = time.monotonic()
                try:
                    with self._watch:
                        await show.play(self._began_at)
                finally:
                    self._ended_at = time.monotonic()
                if self.stop.is_set():
                    self._stopped = f"stopped after {len(self.faults)} of {len(plan.slots)} faults"
            with suppress(EngineError):
                self._seats_lost = await seats.lost(stage.engine_url, "", 0)


@dataclass(slots=True)
class _Show:
    plan: Plan
    stage: Stage
    guests: Sequence[Guest]
    eye: Eye
    folder: Path
    faults: list[FaultMeasured]
    stop: asyncio.Event
    _accounts: list["asyncio.Task[None]"] = field(default_factory=list)

    async def play(self, began_at: float) -> None:
        """All faults, each at its time, or as soon as everybody has recovered from the one before it."""
        injector = Injector(self.stage, self.guests, self.eye)
        with ThreadPoolExecutor(1, initializer=_give_way) as thread:
            try:
                for number, slot in enumerate(self.plan.slots):
                    if await self._wait(began_at + slot.at_s - time.monotonic()):
                        break
                    at = time.monotonic()
                    tell(beginning(number, slot, at - began_at))
                    missed = await self._missed()
                    done = await injector.do(slot)
                    await self._wait(at + self.plan.every_s - _AGAIN_S - time.monotonic())
                    until = at + self.plan.every_s + _PATIENCE_S
                    recovered = await self.until_all_are_back(until)
                    if not recovered and self.stop.is_set():
                        break
                    if not recovered:
                        await self._begin_again()
                    after = await self._missed()
                    late = None if missed is None or after is None or after < missed else after - missed
                    ended_at = time.monotonic()
                    happened = Happened(number, slot, done, at, ended_at, recovered, late)
                    accounting = self._account(thread, happened, began_at)
                    self._accounts.append(asyncio.create_task(accounting))
            finally:
                await asyncio.gather(*self._accounts)

    async def until_all_are_in(self) -> None:
        """Wait until everybody hears themselves for the first time. Raises StageFailed."""
        if not await self.until_all_are_back(time.monotonic() + 2 * _PATIENCE_S) and not self.stop.is_set():
            raise StageFailed(f"callers do not hear themselves: logs are in {LOGS}")

    async def until_all_are_back(self, until: float) -> bool:
        """Wait until everybody hears themselves and all is up; whether that was so in time."""
        while not self.stop.is_set():
            self.stage.check()
            for guest in self.guests:
                guest.check()
            if self.stage.serves and self.eye.seen and self.eye.seen[-1].ready:
                now = time.monotonic()
                hearing = [
                    await asyncio.to_thread(
                        hears_now, self.folder, guest.number, self.stage.delay_s, now, _TAPES_LATE_S
                    )
                    for guest in self.guests
                ]
                if all(hearing):
                    return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_AGAIN_S)
        return False

    async def _begin_again(self) -> None:
        """Those who are lost hang up and call anew: the next fault finds everybody in a call."""
        tell("somebody does not hear themselves: all call anew")
        for guest in self.guests:
            guest.tell(Do.CALL_AGAIN)
        if not await self.until_all_are_back(time.monotonic() + _PATIENCE_S) and not self.stop.is_set():
            raise StageFailed(f"callers hear nothing, in new calls too: logs are in {LOGS}")

    async def _account(self, thread: ThreadPoolExecutor, happened: Happened, began_at: float) -> None:
        """What became of everybody, once the tapes have the end of it."""
        await self._wait(_TAPES_LATE_S)
        loop = asyncio.get_running_loop()
        fault = await loop.run_in_executor(
            thread, account, happened, began_at, self.stage.delay_s, self.folder, self.guests, self.eye
        )
        self.faults.append(fault)
        tell(progress(happened.slot, fault))

    async def _missed(self) -> int | None:
        """Frames that the engine has answered late since it was started."""
        try:
            async with asyncio.timeout(_AGAIN_S), EngineClient(self.stage.engine_url) as engine:
                page = await engine.metrics()
        except (EngineError, TimeoutError):
            return None
        found = re.search(r"^moshi_missed_frames_total (\S+)", page, re.MULTILINE)
        return int(float(found[1])) if found else None

    async def _wait(self, seconds: float) -> bool:
        """Whether it is to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.stop.wait()
        return self.stop.is_set()


def _logs() -> Path:
    """The folder for them, without those of the last time."""
    logs = LOGS.resolve()
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    return logs


def _give_way() -> None:
    """What is understood meanwhile must not be what is measured: callers and engine come first."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)
