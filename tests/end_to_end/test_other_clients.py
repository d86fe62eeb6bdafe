"""Clients that we did not write, and those of the guides, against an engine with the parrot."""

import asyncio
import os
import subprocess
import sys
import wave
from pathlib import Path

import aiohttp
import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.processes import ROOT
from tests.end_to_end.sounds import keyed_phrases, share
from tests.lacking import lacking
from worker.caller.caller import SPEAKING_RATE

REFERENCE = ROOT / ".reference"
SOUND_CARD = Path(__file__).parent / "sound_card"
TONE_HZ = 700


def phrase() -> NDArray[np.int16]:
    """A phrase at 24 kHz."""
    (sound,) = keyed_phrases(TONE_HZ, 1)
    return sound[:: SPEAKING_RATE // 24_000]


def write(path: Path, pcm: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(pcm.astype("<i2").tobytes())


def read(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path)) as file:
        assert file.getframerate() == 24_000
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_moshis_own_client_hears_itself_and_prints_words(engine_port: int, tmp_path: Path) -> None:
    if not (REFERENCE / "sphn").is_dir():
        lacking(f"{REFERENCE} lacks sphn, the codec of Moshi's client: make setup")
    said, heard = tmp_path / "said.wav", tmp_path / "heard.wav"
    write(said, phrase())
    result = subprocess.run(
        [sys.executable, "-m", "moshi.client", "--port", str(engine_port), "--host", "127.0.0.1"],
        env=os.environ
        | {
            "PYTHONPATH": f"{SOUND_CARD}{os.pathsep}{REFERENCE}",
            "MICROPHONE": str(said),
            "SPEAKERS": str(heard),
            "NO_TORCH_COMPILE": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Lost connection" not in result.stderr
    assert "Exception" not in result.stdout + result.stderr
    assert share(read(heard), TONE_HZ) > 0.5, result.stderr
    words = result.stdout.replace("All done!", "")
    assert any(letter.isalpha() for letter in words), result.stdout


async def test_the_plain_client_of_the_guides_hears_itself(engine_port: int) -> None:
    sound = (phrase() / 32768).astype("<f4")
    heard = b""
    url = f"ws://127.0.0.1:{engine_port}/api/chat"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:

        async def talk() -> None:
            for at in range(0, len(sound), 1920):
                await socket.send_bytes(sound[at : at + 1920].tobytes())
                await asyncio.sleep(0.08)

        talking = asyncio.create_task(talk())
        while len(heard) < 4 * (len(sound) // 1920 * 1920):
            heard += await socket.receive_bytes(timeout=20)
        await talking
    pcm = (np.frombuffer(heard, "<f4") * 32767).astype(np.int16)
    assert share(pcm, TONE_HZ) > 0.5
