"""Which processes of this machine are whose: the server's, the worker's, the engine's, ours."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import psutil


class Role(StrEnum):
    """Whose a process is, in the order in which tables show them."""

    LIVEKIT = "LiveKit server"
    WORKER = "worker"
    JOBS = "worker's jobs"
    ENGINE = "engine"
    ECHO = "bare echo"
    LOAD_TEST = "load test"


class Roles:
    """Tells roles by command lines and by who talks to whom, so that other stacks on the machine are left
    out.

    livekit_port: where the server listens and the worker is connected to; engine_port: where the engine
    listens, None for one that the worker has started.
    """

    def __init__(self, livekit_port: int, engine_port: int | None = None) -> None:
        self._livekit_port = livekit_port
        self._engine_port = engine_port
        self._told: dict[psutil.Process, Role | None] = {}

    def processes(self) -> dict[psutil.Process, Role]:
        """All that run now and have a role."""
        running = {process.pid: process for process in psutil.process_iter()}
        told: dict[psutil.Process, Role | None] = {}
        for process in running.values():
            try:
                self._tell(process, running, told)
            except psutil.Error:
                told[process] = None
        self._told = told
        return {process: role for process, role in told.items() if role is not None}

    def _tell(
        self,
        process: psutil.Process,
        running: dict[int, psutil.Process],
        told: dict[psutil.Process, Role | None],
    ) -> Role | None:
        if process in told:
            return told[process]
        if process in self._told:
            told[process] = self._told[process]
            return told[process]
        above = running.get(process.ppid())
        of_above = self._tell(above, running, told) if above is not None else None
        told[process] = self._of(process, of_above)
        return told[process]

    def _of(self, process: psutil.Process, above: Role | None) -> Role | None:
        program = program_of(process.cmdline())
        if process.pid == os.getpid():
            return Role.LOAD_TEST
        if program == ("livekit-server",) and self._listens(process, self._livekit_port):
            return Role.LIVEKIT
        if program in (("worker", "dev"), ("worker", "start")) and self._is_connected(process):
            return Role.WORKER
        if program == ("engine", "serve") and (
            above is Role.WORKER or self._listens(process, self._engine_port)
        ):
            return Role.ENGINE
        if above is Role.LOAD_TEST and program and program[0].endswith("waiting"):
            return Role.ENGINE
        if above is Role.LOAD_TEST and program and program[0].endswith("echo"):
            return Role.ECHO
        return Role.JOBS if above is Role.WORKER else above

    def _listens(self, process: psutil.Process, port: int | None) -> bool:
        connections = process.net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)

    def _is_connected(self, process: psutil.Process) -> bool:
        return any(
            one.raddr and one.raddr.port == self._livekit_port for one in process.net_connections("tcp")
        )


def program_of(command: Sequence[str]) -> tuple[str, ...]:
    """What a command line runs: `("worker", "dev")`, `("livekit-server",)`, `("load_tests.callers.echo",)`.

    `python -m worker dev` and `moshi-worker dev` are the same; of others, the name alone counts.
    """
    if not command:
        return ()
    words = [Path(word).name.removeprefix("moshi-") for word in command[:8]]
    if "-m" in words[:4]:
        words = words[words.index("-m") + 1 :]
    elif len(words) > 1 and words[0].startswith("python"):
        words = words[1:]
    return tuple(words[:2]) if words and words[0] in ("worker", "engine") else tuple(words[:1])
