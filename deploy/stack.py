"""Processes that live and die together: what `make run` is made of, whatever it is that runs."""

import contextlib
import math
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.engine_child import end_with_parent

_POLL_S = 0.1
# Below what Linux, macOS and Windows give to those who do not name one.
_FREE_PORTS = range(20_000, 32_768)
_ROOT = Path(__file__).parents[1]
_SETTINGS = ("LIVEKIT_", "ENGINE_", "WORKER_")


class StackError(Exception):
    """The stack cannot start or go on. The text says which part, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack.

    `ready` is the text in its output that says it serves. `ports` are those of 127.0.0.1 (TCP) that it will
    listen on, each with what the user can do to get along without it. It is given up if it does not serve
    `ready_within_s` after its start; None waits for as long as it lives. Its output goes to `log`, and to the
    terminal if `shown`. `environment` is added to ours; with a `folder` to run in, where there is no
    `.env.local`, it is all that is set of ours.
    """

    name: str
    command: Sequence[str]
    ready: str
    log: Path
    ports: Mapping[int, str] = field(default_factory=dict)
    ready_within_s: float | None = None
    shown: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def whole_environment(self) -> dict[str, str]:
        """All that the process finds set."""
        given: dict[str, str] = dict(os.environ)
        if self.folder is not None:
            given = {name: value for name, value in given.items() if not name.startswith(_SETTINGS)}
            given["PYTHONPATH"] = str(_ROOT)
        return {**given, **self.environment}

    def check_ports(self) -> None:
        """Raises StackError where somebody listens on one of the ports already."""
        for port, without in self.ports.items():
            with socket.socket() as probe:
                # Without it, a port that was in use a moment ago counts as taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise StackError(
                        f"port {port}, which the {self.name} needs, is taken: "
                        f"stop what listens there, or {without}"
                    ) from None


class Running:
    """A part whose process was started. `ready` is set once it serves."""

    def __init__(self, part: Part, show: Callable[[str], None]) -> None:
        self.part = part
        self.ready = threading.Event()
        self._show = show
        part.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._process = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=part.whole_environment,
                cwd=part.folder,
                # A session of its own: a Ctrl-C reaches the stack alone, which passes it on in its own order.
                start_new_session=True,
                # Nor does a stack that is killed leave it behind.
                preexec_fn=end_with_parent(),
            )
        except OSError as error:
            raise StackError(f"cannot start the {part.name} ({part.command[0]}): {error.strerror}") from None
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def ended_with(self) -> int | None:
        """Its status; None while it lives."""
        return self._process.poll()

    def wait(self, within_s: float) -> None:
        """For its end, but not longer than that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)

    def send(self, number: signal.Signals) -> None:
        """To the process alone; nothing if it is gone."""
        self._process.send_signal(number)

    def check(self) -> None:
        """Raises StackError if the process is gone."""
        status = self._process.poll()
        if status is not None:
            self._reader.join(timeout=1)
            raise StackError(f"the {self.part.name} ended with status {status}{self.last_words()}")

    def last_words(self) -> str:
        """The end of its output, and where the rest is, to follow a message; nothing if it was shown."""
        if self.part.shown:
            return ""
        lines = self.part.log.read_text(errors="replace").splitlines()[-5:]
        quoted = "".join(f"\n    {line}" for line in lines)
        return f". Its last lines:{quoted}\nAll of them: {self.part.log}"

    def stop(self, within_s: float) -> None:
        """Asks the process to end, and kills it when it takes longer than `within_s`."""
        self._process.terminate()
        self.wait(within_s)
        # Its children too, should it leave any behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=1)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self.part.log.open("w", buffering=1) as log, self._process.stdout as output:
            for line in output:
                log.write(line)
                if self.part.shown:
                    self._show(line.rstrip("\n"))
                if self.part.ready in line:
                    self.ready.set()


@dataclass(slots=True)
class Stack:
    """Starts its parts in order, each when the one before it serves, and stops them in reverse order."""

    parts: Sequence[Part]
    show: Callable[[str], None]
    stop_within_s: float = 20

    def run(self, stop: Callable[[], bool], on_ready: Callable[[], None]) -> None:
        """Runs until `stop` says so. Raises StackError if a part cannot start, or ends by itself."""
        for part in self.parts:
            part.check_ports()
        running: list[Running] = []
        try:
            for part in self.parts:
                running.append(Running(part, self.show))
                if not self._wait(running, stop):
                    return
            on_ready()
            while not stop():
                time.sleep(_POLL_S)
                for each in running:
                    each.check()
        finally:
            for each in reversed(running):
                each.stop(self.stop_within_s)

    def _wait(self, running: Sequence[Running], stop: Callable[[], bool]) -> bool:
        """True once the latest part serves, False if it is to stop before that."""
        latest = running[-1]
        within_s = latest.part.ready_within_s
        deadline = math.inf if within_s is None else time.monotonic() + within_s
        while not latest.ready.is_set():
            if stop():
                return False
            for each in running:
                each.check()
            if time.monotonic() > deadline:
                late = f"the {latest.part.name} is not ready after {within_s:g} s"
                raise StackError(late + latest.last_words())
            time.sleep(_POLL_S)
        return True


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of this machine that nobody uses now, and none that the system gives away by itself.

    So whoever asks for any port, or connects to somebody, does not get it before it is used.
    """
    for port in secrets.SystemRandom().sample(_FREE_PORTS, 100):
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StackError("none of 100 ports of 127.0.0.1 is free")
