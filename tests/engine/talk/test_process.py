"""The command as a process, its sound card replaced by a module of the same name."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fake_engine import FakeEngine, serving

ROOT = Path(__file__).parents[3]

SOUND_CARD = """
import threading, time

class PortAudioError(Exception): ...

class Stream:
    def __init__(self, samplerate, blocksize, callback, **_):
        self.samples, self.seconds, self.callback = blocksize, blocksize / samplerate, callback
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run)
    def __enter__(self):
        self.thread.start()
    def __exit__(self, *_):
        self.closing.set()
        self.thread.join()
    def run(self):
        while not self.closing.wait(self.seconds):
            self.callback(self.sound(), self.samples, None, None)

class RawInputStream(Stream):
    def sound(self):
        return memoryview(b"\\x00\\x10" * self.samples)

class RawOutputStream(Stream):
    def sound(self):
        return bytearray(2 * self.samples)

def query_devices():
    return "0 A microphone, 1 Speakers"
"""


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """`engine talk` in a folder without settings, as a module path the folder and then the project."""
    (folder / "sounddevice.py").write_text(SOUND_CARD)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "talk", *arguments),
        cwd=folder,
        env=environment | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_it_talks_until_ctrl_c_and_hangs_up(tmp_path: Path, how: signal.Signals) -> None:
    async with serving(FakeEngine(words={1: " Hello", 2: "."})) as engine:
        process = await start(tmp_path, "--url", engine.url, "--seed", "7", "--temperature", "0.5")
        async with asyncio.timeout(30):
            while len(engine.frames) < 20:
                await asyncio.sleep(0.02)
                assert process.returncode is None
            process.send_signal(how)
            out, error = await process.communicate()
    assert (process.returncode, error) == (0, b"")
    assert engine.ends == ["hang_up"]
    (request,) = engine.requests
    assert (request.seed, request.temperature, request.top_k) == (7, 0.5, None)
    assert set(np.frombuffer(b"".join(engine.frames), np.int16)) == {0x1000}
    assert out.decode().splitlines()[1] == "Hello."


async def test_it_is_refused_with_exit_code_3_where_every_seat_is_taken(tmp_path: Path) -> None:
    async with serving(FakeEngine(seats=0)) as engine:
        process = await start(tmp_path, "--url", engine.url)
        _, error = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 3
    assert error.startswith(b"refused: all 0 seats are taken")


async def test_it_lists_the_devices(tmp_path: Path) -> None:
    process = await start(tmp_path, "--devices")
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b"0 A microphone, 1 Speakers\n")
