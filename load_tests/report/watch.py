"""Everything that is watched beside the callers while they speak, from a thread of its own."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

from yarl import URL

from engine.client import EngineClient
from engine.errors import EngineError
from load_tests.measured import GpuMeasured, ProcessMeasured
from load_tests.report.gpu import GpuWatch
from load_tests.report.processes import ProcessWatch
from load_tests.report.roles import Roles
from load_tests.report.stages import Stages

SAMPLE_S = 1.0
SAMPLES_A_PAGE = 3


class Watch:
    """While the block runs: processes and GPU of this machine once a second, the engine's page every three.

    After it: `processes`; `gpu`, None without one; `engine`, the newest page of those with the most sessions,
    None without any; `engine_error`, why there is none. `engine_url` as in ENGINE_URL; empty, no engine is
    asked.
    """

    def __init__(self, livekit_url: str, engine_url: str = "") -> None:
        self.processes: tuple[ProcessMeasured, ...] = ()
        self.gpu: GpuMeasured | None = None
        self.engine: Stages | None = None
        self.engine_text = ""
        self.engine_error = "no session was on"
        self._engine_url = engine_url
        engine_port = None if engine_url.startswith("unix:") else URL(engine_url).port
        self._roles = Roles(URL(livekit_url).port or 0, engine_port)
        self._gpu = GpuWatch()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: why an engine that should have told its part did not."""
        silent = self._engine_url and self.engine is None
        return (f"the engine did not tell its part: {self.engine_error}",) if silent else ()

    async def during(self, begins_at: float, ends_at: float) -> None:
        """Watch between two moments of `time.monotonic`."""
        await asyncio.sleep(begins_at - time.monotonic())
        with self:
            await asyncio.sleep(ends_at - time.monotonic())

    def __enter__(self) -> Self:
        self._gpu.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._gpu.__exit__(kind, error, trace)
        self.gpu = self._gpu.measured

    def _run(self) -> None:
        watch = ProcessWatch(self._roles.processes)
        samples = 0
        while not self._over.wait(SAMPLE_S):
            watch.sample()
            samples += 1
            if self._engine_url and samples % SAMPLES_A_PAGE == 0:
                self._ask_engine()
        if self._engine_url:
            self._ask_engine()
        self.processes = watch.finish()

    def _ask_engine(self) -> None:
        try:
            text = asyncio.run(_page(self._engine_url))
        except EngineError as error:
            self.engine_error = str(error)
            return
        page = Stages.of_page(text)
        if page.sessions >= (self.engine.sessions if self.engine else 1):
            self.engine, self.engine_text, self.engine_error = page, text, ""


async def _page(engine_url: str) -> str:
    async with EngineClient(engine_url) as engine:
        return await engine.metrics()
