"""The programs under test, as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy.stack import free_port as free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process and the file that its output goes to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """All its output so far."""
        return self.log.read_text(errors="replace")

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, timeout_s: float = 30.0) -> int:
        """Wait for its end."""
        return self.process.wait(timeout_s)


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[Running]:
    """A process until the block is left; then it is asked to stop, and made to. With these settings only."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LIVEKIT_", "ENGINE_", "WORKER_"))
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,  # where there is no .env.local
            env=ours | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def at_once(*programs: AbstractContextManager[Running]) -> Iterator[list[Running]]:
    """Start them all at the same time, and end them all at the same time."""
    stacks = [ExitStack() for _ in programs]
    with ThreadPoolExecutor(len(programs)) as pool:
        starting = [
            pool.submit(stack.enter_context, program) for stack, program in zip(stacks, programs, strict=True)
        ]
        try:
            wait(starting)
            yield [each.result() for each in starting]
        finally:
            list(pool.map(ExitStack.close, stacks))


def python(*arguments: str) -> list[str]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", *arguments]


def wait_for(program: Running, condition: Callable[[], object], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until `condition` holds. Fails with the program's output if it ends, or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        code = program.process.poll()
        assert code is None, f"{program.process.args!r} ended with code {code}:\n{program.said()}"
        assert time.monotonic() < deadline, f"{program.process.args!r} is not ready:\n{program.said()}"
        time.sleep(0.05)


def get(url: str) -> str | None:
    """What is there; None while nobody answers or the answer is an error."""
    try:
        with urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return None


def status_and_text(url: str) -> tuple[int, str] | None:
    """What is there, an error too; None while nobody answers."""
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, str(answer.read().decode())
    except HTTPError as refused:
        return refused.code, refused.read().decode()
    except (URLError, OSError):
        return None
