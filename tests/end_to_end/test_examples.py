"""The examples of sessions, as somebody runs them who has copied them."""

import asyncio
import os
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.end_to_end.processes import ROOT, free_port
from tests.end_to_end.sounds import keyed_phrases, share
from tests.lacking import lacking

TONE_HZ = 700
(PHRASE,) = keyed_phrases(TONE_HZ, 1, pause_s=0.0)
EXAMPLES = ROOT / "examples"
ROLLDOWN = ROOT / "worker" / "page" / "node_modules" / ".bin" / "rolldown"
"""What builds the page makes JavaScript of TypeScript for a Node that does not run it."""
PIPECAT = ROOT / ".pipecat"
TIMEOUT_S = 90


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(PHRASE[::2].astype("<i2").tobytes())
    return path


async def run(*command: object, **environment: str) -> str:
    """Its output, once it has ended well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def recorded(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def test_python_and_typescript_hold_the_same_conversation(
    engine_port: int, said: Path, tmp_path: Path
) -> None:
    if not ROLLDOWN.exists():
        lacking(f"{ROLLDOWN} is missing: make setup")
    script, engine = tmp_path / "session.mjs", f"ws://127.0.0.1:{engine_port}"
    await run(ROLLDOWN, EXAMPLES / "session.ts", "--platform", "node", "--format", "esm", "--file", script)
    ours, theirs = tmp_path / "python.wav", tmp_path / "typescript.wav"
    words = await asyncio.gather(
        run(sys.executable, EXAMPLES / "session.py", engine, said, ours),
        run("node", "--experimental-websocket", script, engine, said, theirs),
    )
    assert [text.strip() for text in words] == ["I hear you."] * 2
    assert share(recorded(ours), TONE_HZ) > 0.6
    assert np.array_equal(recorded(ours), recorded(theirs)), "one seed, one sound, one answer"


async def test_a_client_of_pipecat_talks_with_the_bot_of_the_example(
    engine_port: int, said: Path, tmp_path: Path
) -> None:
    if not PIPECAT.is_dir():
        lacking(f"{PIPECAT} is missing: make setup")
    port, heard = free_port(), tmp_path / "pipecat.wav"
    environment = {"PYTHONPATH": str(PIPECAT), "ENGINE_URL": f"ws://127.0.0.1:{engine_port}"}
    caller = ROOT / "tests" / "end_to_end" / "pipecat_caller.py"
    _, words = await asyncio.gather(
        run(sys.executable, EXAMPLES / "pipecat_bot.py", "127.0.0.1", port, **environment),
        run(sys.executable, caller, f"ws://127.0.0.1:{port}", said, heard, **environment),
    )
    assert words.strip() == "I hear you."
    assert share(recorded(heard), TONE_HZ) > 0.6
