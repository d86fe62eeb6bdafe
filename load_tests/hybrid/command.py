"""`python -m load_tests hybrid`: turns with models that take no time, so that what is left is ours."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from load_tests.hybrid.judged import judged_late_s
from load_tests.hybrid.model_server import RATE, ModelServer
from load_tests.hybrid.share import Share, inside_s
from load_tests.hybrid.stages import Turn, is_answer, table, turn
from load_tests.hybrid.way import there_and_back_s
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.commands import run
from worker.settings import LiveKitSettings

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
PAUSE_S = 2.0
_LOUD = 500


def main(
    turns: Annotated[int, typer.Option(min=1, help="How many questions.")] = 10,
    agent: Annotated[Path, typer.Option(help="The agent that is measured.")] = ROOT
    / "examples"
    / "hybrid.py",
    min_delay: Annotated[float, typer.Option(min=0, help="Its endpointing, min_delay in seconds.")] = 0.5,
) -> None:
    """How long an answer takes beside its models. LIVEKIT_URL and ENGINE_URL say where the others are."""
    run(lambda: _measure(turns, agent, min_delay))


async def _measure(turns: int, agent: Path, min_delay: float) -> None:
    settings = LiveKitSettings.load().model_copy(update={"livekit_agent_name": "measured-hybrid"})
    said = sound_files.read(ROOT / "deploy" / "sample.wav", SPEAKING_RATE)[: 3 * SPEAKING_RATE // 2]
    last_loud = int(np.flatnonzero(np.abs(said) > _LOUD)[-1])
    judged_s = await judged_late_s(said[:: SPEAKING_RATE // RATE], last_loud / SPEAKING_RATE)
    measured: list[Turn] = []
    lines: list[str] = []
    async with (
        ModelServer.running() as models,
        _running(agent, models.url, settings, lines),
        Caller.join(settings, new_room()) as caller,
    ):
        await caller.wait_for_agent(PATIENCE_S)
        for number in range(1, turns + 1):
            models.asked.clear()
            await caller.say(said)
            spoke_until = caller.out_at[0] + caller.spoken_at(last_loud)
            heard_at = await _heard_at(caller, spoke_until)
            measured.append(turn(spoke_until, models.asked, heard_at))
            print(f"turn {number} of {turns}", file=sys.stderr)
            await asyncio.sleep(PAUSE_S)
    way_s = await there_and_back_s(settings, turns, _heard_at, PATIENCE_S)
    print(table(measured))
    print()
    print(
        Share([each.seconds["all"] for each in measured], min_delay, judged_s, way_s, inside_s(lines)).table()
    )


async def _heard_at(caller: Caller, spoke_until: float) -> float:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for at, pcm in caller.pieces:
                if at > spoke_until and is_answer(pcm):
                    return at
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _running(
    agent: Path, models: str, settings: LiveKitSettings, lines: list[str]
) -> AsyncIterator[None]:
    """The agent, until the block is left; `lines` has what it says."""
    named = {
        "LLM_URL": models,
        "STT_URL": models,
        "TTS_URL": models,
        "LIVEKIT_URL": settings.livekit_url,
        "LIVEKIT_API_KEY": settings.livekit_api_key,
        "LIVEKIT_API_SECRET": settings.livekit_api_secret.get_secret_value(),
        "LIVEKIT_AGENT_NAME": settings.livekit_agent_name,
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "livekit.agents", "start", "--dev", str(agent)),
        env=os.environ | named,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = process.stdout
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            while b"registered worker" not in (line := await output.readline()):
                if not line:
                    raise typer.Exit(1)
        reading = asyncio.create_task(_read(output, lines))
        yield
        reading.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _read(output: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await output.readline():
        lines.append(line.decode())
