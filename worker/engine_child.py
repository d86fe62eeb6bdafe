"""An engine of the worker's own, where no ENGINE_URL names one: started before it, stopped after it, and
started again whenever it is gone.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.client import EngineClient
from engine.errors import EngineError, EngineUnreachable, SettingError
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)

POLL_S = 0.1
HURRY_AFTER_S = 1.0
STOP_TIMEOUT_S = 15.0
FIRST_DELAY_S = 0.5
ATTEMPTS = 6
"""So often in a row it is started again, after twice the time before each."""
STEADY_S = 60.0
"""An engine that has served for so long is started again as if it were the first time."""
_PR_SET_PDEATHSIG = 1


class EngineDied(EngineError):
    """The engine that the worker started is gone."""


@asynccontextmanager
async def engine_child(
    settings: WorkerSettings,
) -> AsyncIterator[tuple[WorkerSettings, asyncio.Future[EngineError]]]:
    """A running engine that is ready for calls, until the block is left: settings that name it, and what is
    done, with an error, when there is no use in starting it again.

    Raises EngineDied if it does not come up, and SettingError if that is because of what it was given:
    then its own words about it are on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="moshi-") as folder:
        socket = Path(folder) / "engine.sock"
        admin = settings.engine_admin_socket or Path(folder) / "admin.sock"

        async def begin() -> EngineChild:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *engine_arguments(settings, socket, admin),
                env={name: value for name, value in os.environ.items() if name != "ENGINE_URL"},
                # A Ctrl-C in the terminal is for the worker, which lets its calls end first.
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
            return EngineChild(process, f"unix:{socket}")

        kept = KeptEngine(begin, settings)
        try:
            await kept.start()
            lost = asyncio.create_task(kept.keep())
            try:
                named = {"engine_url": f"unix:{socket}", "engine_admin_socket": admin}
                yield settings.model_copy(update=named), lost
            finally:
                lost.cancel()
                await asyncio.gather(lost, return_exceptions=True)
        finally:
            await kept.stop()


def engine_arguments(settings: WorkerSettings, socket: Path, admin: Path) -> list[str]:
    """The command line of the engine, after the interpreter. Secrets go by the environment."""
    options = {
        "--checkpoint": settings.engine_checkpoint,
        "--slots": settings.engine_slots,
        "--device": settings.engine_device,
        "--log-format": settings.engine_log_format,
    }
    given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    address = ["--socket", str(socket), "--host", "127.0.0.1", "--port", str(settings.engine_port)]
    return ["-m", "engine", "serve", *address, "--admin-socket", str(admin), *given]


class KeptEngine:
    """An engine that is started again, by `begin`, whenever it is gone."""

    def __init__(
        self,
        begin: Callable[[], Awaitable["EngineChild"]],
        settings: WorkerSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._settings = settings
        self._clock = clock
        self._child: EngineChild | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves. Raises EngineDied, SettingError."""
        self._child = await self._begin()
        await self._child.wait_until_ready(self._settings)

    async def keep(self) -> EngineError:
        """Start it again and again, after `start`; the error when it does not come up, or does not last."""
        attempt = 0
        while True:
            assert self._child is not None
            began_at = self._clock()
            gone = await self._child.died()
            if self._clock() - began_at > STEADY_S:
                attempt = 0
            if isinstance(gone, SettingError) or attempt == ATTEMPTS:
                return gone
            log.error("the engine is started again", extra={"detail": str(gone)})
            await asyncio.sleep(FIRST_DELAY_S * 2**attempt)
            attempt += 1
            with suppress(EngineDied, SettingError):
                await self.start()
                log.info("the engine is back")

    async def stop(self) -> None:
        """End it."""
        if self._child is not None:
            await self._child.stop()


class EngineChild:
    """The process, and the address at which it is reached."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def wait_until_ready(self, settings: WorkerSettings) -> None:
        """Wait for the engine to answer. A model may take minutes to load: the process must live, no more."""
        dying = asyncio.create_task(self.died())
        token = settings.engine_token.get_secret_value() if settings.engine_token else None
        async with EngineClient(self.url, token) as engine:
            try:
                while not dying.done():
                    try:
                        await engine.seats()
                        return
                    except EngineUnreachable:
                        await asyncio.wait([dying], timeout=POLL_S)
                raise dying.result()
            finally:
                dying.cancel()

    async def died(self) -> EngineError:
        """Wait for the end of the process; the error that says so."""
        code = await self._process.wait()
        if code == 2:
            return SettingError("the engine cannot run with these settings: it says why above")
        return EngineDied(
            f"the engine that this worker started ended with code {code}: see above what it says"
        )

    async def stop(self) -> None:
        """End the process: politely first, and again for one that waits for those it promised a seat."""
        process = self._process
        steps = (process.terminate, HURRY_AFTER_S), (process.terminate, STOP_TIMEOUT_S), (process.kill, None)
        for end, patience_s in steps:
            if process.returncode is None:
                end()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await process.wait()
                    return


def end_with_parent() -> Callable[[], object] | None:
    """A `preexec_fn` by which a killed parent leaves no child behind, if that can be had (Linux: prctl)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
