"""An engine of the worker's own, where no ENGINE_URL names one: started before it and stopped after it."""

import asyncio
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from engine.client import EngineClient
from engine.errors import EngineError, EngineUnreachable, SettingError
from worker.settings import WorkerSettings

POLL_S = 0.1
STOP_TIMEOUT_S = 15.0
_PR_SET_PDEATHSIG = 1


class EngineDied(EngineError):
    """The engine that the worker started is gone."""


@asynccontextmanager
async def engine_child(settings: WorkerSettings) -> AsyncIterator["EngineChild"]:
    """A running engine that is ready for calls, until the block is left.

    Raises EngineDied if it does not come up, and SettingError if that is because of what it was given:
    then its own words about it are on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="moshi-") as folder:
        socket = Path(folder) / "engine.sock"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *engine_arguments(settings, socket),
            env={name: value for name, value in os.environ.items() if name != "ENGINE_URL"},
            # A Ctrl-C in the terminal is for the worker, which lets its calls end first.
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )
        child = EngineChild(process, f"unix:{socket}")
        try:
            await child.wait_until_ready(settings)
            yield child
        finally:
            await child.stop()


def engine_arguments(settings: WorkerSettings, socket: Path) -> list[str]:
    """The command line of the engine, after the interpreter. Secrets go by the environment."""
    options = {
        "--checkpoint": settings.engine_checkpoint,
        "--slots": settings.engine_slots,
        "--device": settings.engine_device,
        "--log-format": settings.engine_log_format,
    }
    given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    address = ["--socket", str(socket), "--host", "127.0.0.1", "--port", str(settings.engine_port)]
    return ["-m", "engine", "serve", *address, *given]


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
        """End the process: first politely."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def end_with_parent() -> Callable[[], object] | None:
    """A `preexec_fn` by which a killed parent leaves no child behind, if that can be had (Linux: prctl)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
