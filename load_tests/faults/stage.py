"""A LiveKit server, an engine and a worker of our own, each of which can be killed and started again."""

import asyncio
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from deploy.run import livekit_configuration, livekit_server
from deploy.stack import Part, Running, free_port
from engine.errors import EngineError
from load_tests.callers.run import PARROT_DELAY_S
from load_tests.faults.jobs import job_of
from load_tests.report.roles import Role
from worker.settings import LiveKitSettings

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 120.0
_STOPS_WITHIN_S = 20.0
_POLL_S = 0.05
_AGENT = "soak"
_ROLES = {"LiveKit server": Role.LIVEKIT, "engine": Role.ENGINE, "worker": Role.WORKER}


class StageFailed(EngineError):
    """Our own server, engine or worker does not come up."""


class Stage:
    """Made by `open`. `livekit`, `engine`, `worker`: those that run now; delay_s: the model's own."""

    livekit: Running
    engine: Running
    worker: Running

    def __init__(self, folder: Path, logs: Path, seats: int, step_ms: float | None) -> None:
        self._logs = logs
        self.delay_s = PARROT_DELAY_S if step_ms is None else 0.0
        port, udp_port, engine_port = free_port(), free_port(socket.SOCK_DGRAM), free_port()
        key, secret = "soak", secrets.token_hex(24)
        self.settings = LiveKitSettings(
            livekit_url=f"ws://127.0.0.1:{port}",
            livekit_api_key=key,
            livekit_api_secret=SecretStr(secret),
            livekit_agent_name=_AGENT,
        )
        self.engine_url = f"ws://127.0.0.1:{engine_port}"
        self.ready_url = f"http://127.0.0.1:{engine_port}/readyz"
        self.admin_socket = folder / "admin.sock"
        self._begun: list[Running] = []
        environment = {"OMP_NUM_THREADS": "1", "ENGINE_ADMIN_SOCKET": str(self.admin_socket)}
        configuration = folder / "livekit.yaml"
        configuration.write_text(
            livekit_configuration((_ROOT / "livekit.yaml").read_text(), port, udp_port, key, secret)
        )
        server = livekit_server(configuration)
        # As deploy.run has it, from wherever this is started.
        if (built := _ROOT / "bin" / "livekit-server").exists():
            server = replace(server, command=[str(built), *server.command[1:]])
        self._livekit = replace(server, ports={}, log=logs / "livekit.log", folder=folder)
        parrot = ["engine", "serve", "--checkpoint", "parrot", "--allow-slower-than-real-time"]
        model = [*parrot, "--slots", str(seats)]
        if step_ms is not None:
            model = ["load_tests.faults.waiting", str(seats), str(step_ms)]
        self._engine = Part(
            "engine",
            [sys.executable, "-m", *model],
            "ready model=",
            logs / "engine.log",
            environment={**environment, "ENGINE_PORT": str(engine_port)},
            folder=folder,
        )
        self._worker = Part(
            "worker",
            [sys.executable, "-m", "worker", "start"],
            "registered worker",
            logs / "worker.log",
            environment={**environment, **self.environment, "ENGINE_URL": self.engine_url},
            folder=folder,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, logs: Path, seats: int, step_ms: float | None = None
    ) -> AsyncIterator[Self]:
        """All three serve, until the block is left. folder: what else they need. step_ms: of a model that
        only waits and repeats, None for parrot. Raises StageFailed, StackError.
        """
        stage = cls(folder, logs, seats, step_ms)
        try:
            stage.start_livekit()
            stage.start_engine()
            await stage.until(lambda: stage.livekit.ready.is_set() and stage.engine.ready.is_set())
            stage.start_worker()
            await stage.until(lambda: stage.worker.ready.is_set())
            yield stage
        finally:
            await asyncio.to_thread(stage._stop)

    @property
    def environment(self) -> dict[str, str]:
        """What a program of ours needs to find the LiveKit server."""
        return {
            "LIVEKIT_URL": self.settings.livekit_url,
            "LIVEKIT_API_KEY": self.settings.livekit_api_key,
            "LIVEKIT_API_SECRET": self.settings.livekit_api_secret.get_secret_value(),
            "LIVEKIT_AGENT_NAME": self.settings.livekit_agent_name,
        }

    @property
    def roles(self) -> dict[int, Role]:
        """Of all processes that were started, by their ids."""
        return {part.pid: _ROLES[part.part.name] for part in list(self._begun)}

    @property
    def serves(self) -> bool:
        """Whether all have come up that are to run now."""
        return all(each.ready.is_set() for each in (self.livekit, self.engine, self.worker))

    def start_livekit(self) -> None:
        """On the port of before. Raises StackError."""
        self.livekit = self._start(self._livekit)

    def start_engine(self) -> None:
        """On the port of before. Raises StackError."""
        self.engine = self._start(self._engine)

    def start_worker(self) -> None:
        """Beside others, if there are any. Raises StackError."""
        port = {"WORKER_PORT": str(free_port())}
        self.worker = self._start(replace(self._worker, environment={**self._worker.environment, **port}))

    def job_of(self, session: str) -> int | None:
        """The process of the job that has this session of the engine, by what workers log."""
        return job_of(session, [part.part.log for part in self._begun if part.part.name == "worker"])

    async def until(self, condition: Callable[[], bool], patience_s: float = _PATIENCE_S) -> None:
        """Wait for it. Raises StageFailed, with the last words of a part that ended."""
        deadline = time.monotonic() + patience_s
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                late = ", ".join(part.part.name for part in self._begun if not part.ready.is_set())
                raise StageFailed(f"not up after {patience_s:g} s: {late}; logs are in {self._logs}")
            await asyncio.sleep(_POLL_S)

    def check(self) -> None:
        """Raises StageFailed if one that was started last has ended by itself."""
        newest = {part.part.name: part for part in self._begun}
        for name, part in newest.items():
            if part.ended_with not in (None, -signal.SIGKILL):
                raise StageFailed(f"the {name} ended with status {part.ended_with}{part.last_words()}")

    def _start(self, part: Part) -> Running:
        number = len(self._begun)
        numbered = replace(part, log=self._logs / f"{number}-{part.log.name}")
        running = Running(numbered, show=lambda _line: None)
        self._begun.append(running)
        return running

    def _stop(self) -> None:
        """The newest first, and what was killed as well: it may have left children."""
        for part in reversed(self._begun):
            part.stop(_STOPS_WITHIN_S)
