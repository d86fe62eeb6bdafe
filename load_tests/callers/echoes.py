"""The baseline: a bare echo in each room, in a process of its own, as a worker's jobs are."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from engine.errors import EngineError
from load_tests.echo import FRAME_MS
from worker.settings import LiveKitSettings

NOBODY = "load-test-echo"
"""No worker's name: the rooms of echoes ask for it, so that none comes."""
_READY_TIMEOUT_S = 60.0


class EchoFailed(EngineError):
    """A bare echo did not come into its room."""

    def __init__(self, code: int | None) -> None:
        why = "is not in its room in time" if code is None else f"ended with code {code}"
        super().__init__(f"a bare echo {why}: what it says is above")


@asynccontextmanager
async def echoing(
    settings: LiveKitSettings, rooms: Sequence[str], frame_ms: int = FRAME_MS
) -> AsyncIterator[None]:
    """Each is in its room when the block begins; `settings` name NOBODY as the agent. Raises EchoFailed."""
    environment = os.environ | {
        "LIVEKIT_URL": settings.livekit_url,
        "LIVEKIT_API_KEY": settings.livekit_api_key,
        "LIVEKIT_API_SECRET": settings.livekit_api_secret.get_secret_value(),
        "LIVEKIT_AGENT_NAME": settings.livekit_agent_name,
    }
    async with AsyncExitStack() as until_end:
        echoes = []
        for room in rooms:
            echo = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "load_tests.echo", room, str(frame_ms), env=environment, stdout=PIPE
            )
            until_end.push_async_callback(_end, echo)
            echoes.append(echo)
        await asyncio.gather(*(_ready(echo) for echo in echoes))
        yield


async def _ready(echo: asyncio.subprocess.Process) -> None:
    assert echo.stdout is not None
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            if not await echo.stdout.readline():
                raise EchoFailed(await echo.wait())
    except TimeoutError:
        raise EchoFailed(None) from None


async def _end(echo: asyncio.subprocess.Process) -> None:
    if echo.returncode is None:
        echo.terminate()
    await echo.wait()
