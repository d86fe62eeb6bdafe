"""A call through a network that loses packets: what was said comes back, and the loss is counted."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.step.frames import SAMPLE_RATE
from load_tests.network.behind import behind
from tests.end_to_end.conftest import PATIENCE_S, environment
from tests.end_to_end.processes import ROOT, Running, python
from tests.end_to_end.scene import metrics, value
from tests.end_to_end.sounds import keyed_phrases
from tests.lacking import need_network_of_our_own
from tests.worker.waiting import until
from worker.caller import sound_files
from worker.caller.lag import find_echo
from worker.caller.microphone import SPEAKING_RATE
from worker.settings import LiveKitSettings

PHRASE_HZ = 700
TAKES = 3
ENDED = '"call ended"'
LOSS = "[up]\nloss_percent = 10\nloss_burst = 3\n[down]\ndelay_ms = 20\n"
ALIKE = 0.6
"""Two sounds are not, by chance: callers are told apart with less."""


@pytest.fixture
def network(tmp_path: Path) -> str:
    """Of what the caller sends, one packet in ten is lost, three in a row: redundancy is not enough."""
    need_network_of_our_own()
    file = tmp_path / "lossy.toml"
    file.write_text(LOSS)
    return str(file)


async def next_ended(worker: Running, before: int) -> dict[str, Any]:
    """What the worker logs of the next call that is over, after so many."""
    await until(lambda: worker.said().count(ENDED) > before, PATIENCE_S)
    told: dict[str, Any] = json.loads([line for line in worker.said().splitlines() if ENDED in line][-1])
    return told


@pytest.mark.timeout(240)
async def test_what_is_said_through_loss_comes_back_and_the_loss_is_counted(
    livekit: LiveKitSettings, worker: Running, engine_port: int, network: str, tmp_path: Path
) -> None:
    (phrase,) = keyed_phrases(PHRASE_HZ, 1)
    said = phrase[:: SPEAKING_RATE // SAMPLE_RATE]
    sound_files.write(tmp_path / "in.wav", phrase, SPEAKING_RATE)
    best = 0.0
    for seed in range(TAKES):
        before = metrics(engine_port)
        ended = worker.said().count(ENDED)
        with behind(network, livekit.livekit_url, seed) as here:
            done = await asyncio.to_thread(
                subprocess.run,
                here.place.command(*python("worker", "call", "in.wav", "out.wav")),
                cwd=tmp_path,
                env=os.environ
                | environment(livekit)
                | {"LIVEKIT_URL": here.place.url, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert done.returncode == 0, done.stderr
        call = await next_ended(worker, ended)
        assert call["reason"] == "caller_left"
        heard = sound_files.read(tmp_path / "out.wav", SAMPLE_RATE)
        best = max(best, find_echo(said, heard).correlation)
        concealed_s = value(metrics(engine_port), "moshi_concealed_seconds_total") - value(
            before, "moshi_concealed_seconds_total"
        )
        if best > ALIKE and concealed_s > 0:
            assert call["concealed_us"] == pytest.approx(1e6 * concealed_s, abs=5e5)
            return
    pytest.fail(f"what came back is alike to {best:.2f}, and {concealed_s:.2f} s were made up")
