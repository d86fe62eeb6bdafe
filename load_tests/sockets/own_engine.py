"""An engine whose model costs nothing, in a process of its own: what is left is what sockets cost."""

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError

_TIMEOUT_S = 60.0
_ROOT = Path(__file__).parents[2]


class EngineFailed(EngineError):
    """It did not start, or it ended before its time."""

    def __init__(self) -> None:
        super().__init__("the load test's own engine failed: what it says is above")


@dataclass(slots=True)
class OwnEngine:
    """`url` as in ENGINE_URL. `woke_late_ms`: of the step's thread, p50, p99 and worst, at its end."""

    url: str
    woke_late_ms: dict[str, float] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """For a report, at its end."""
        late = ", ".join(f"{name} {millis:.2f}" for name, millis in self.woke_late_ms.items())
        return f"the step's thread woke up later than asked by {late} ms"


@asynccontextmanager
async def own_engine(seats: int, step_ms: float) -> AsyncIterator[OwnEngine]:
    """Serves until the block is left. Raises EngineFailed."""
    # Whatever is set here, and in the .env.local of this folder, is for another engine.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    environment["PYTHONPATH"] = str(_ROOT)
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        socket = Path(folder) / "engine.sock"
        command = (sys.executable, "-m", "load_tests.sockets.waiting", str(seats), str(step_ms), str(socket))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, cwd=folder
        )
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            if await _line(process.stdout) != b"listening\n":
                raise EngineFailed
            engine = OwnEngine(f"unix:{socket}")
            yield engine
            process.stdin.close()
            engine.woke_late_ms = json.loads(await _line(process.stdout) or b"{}")
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _line(output: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await output.readline()
    except TimeoutError:
        raise EngineFailed from None
