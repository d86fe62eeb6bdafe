"""Somebody calls by telephone: what they are told, what is kept, and what nobody finds in a log."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from load_tests import phone
from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.processes import wait_for
from tests.end_to_end.sounds import keyed_phrases, share
from tests.worker.waiting import until
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.caller.lag import find_echo
from worker.settings import LiveKitSettings
from worker.sound.clips import DISCLOSURE, GOODBYE, Clip

PHRASE_HZ = 700
RATE = 24_000
PIECE = RATE
NUMBER = "5551234567"

pytestmark = pytest.mark.timeout(180)


def likeness(clip: Clip, heard: NDArray[np.int16]) -> float:
    """How well its pieces are found in what was heard, 0 to 1. A machine that stalls shifts them."""
    pcm = sound_files.read(clip.path, RATE)
    pieces = np.split(pcm[: len(pcm) // PIECE * PIECE], len(pcm) // PIECE)
    return float(np.mean([find_echo(piece, heard).correlation for piece in pieces]))


async def test_a_telephone_caller_is_told_first_kept_as_asked_and_named_in_no_log(
    livekit: LiveKitSettings, engine_port: int, start_worker: StartWorker, logs: Path, tmp_path: Path
) -> None:
    texts, sounds = tmp_path / "texts", tmp_path / "sounds"
    kept = {"WORKER_TRANSCRIPTS": str(texts), "WORKER_RECORDINGS": str(sounds)}
    settings = livekit.model_copy(update={"livekit_agent_name": "private"})
    # As livekit-sip names them: the number is in both.
    room = f"{new_room()}-_+1{NUMBER}_Xy7"
    token = phone.token(settings, room, int(NUMBER[3:]))
    engine = {"ENGINE_URL": f"ws://127.0.0.1:{engine_port}"}
    with start_worker("start", "private", **engine, **kept) as worker:
        async with Caller.enter(settings.livekit_url, token) as caller:
            # What is heard is kept from the first word said on.
            await caller.say(np.zeros(SPEAKING_RATE // 10, np.int16))
            await caller.wait_for_agent(PATIENCE_S)
            await until(lambda: "listening" in caller.states, PATIENCE_S)
            assert likeness(DISCLOSURE, caller.heard) > likeness(GOODBYE, caller.heard)
            assert "recorded" in caller.agent_attributes["moshi.notice"]
            (phrase,) = keyed_phrases(PHRASE_HZ, 1)
            await caller.say(phrase)
            await asyncio.sleep(2)
            assert share(caller.heard, PHRASE_HZ) > 0.6
        wait_for(worker, lambda: '"call ended"' in worker.said())
    (text,), (sound,) = texts.iterdir(), sounds.iterdir()
    first, *others = [json.loads(line) for line in text.read_text().splitlines()]
    assert (first["who"], "machine" in first["text"]) == ("worker", True)
    assert "model" in [line["who"] for line in others]
    assert (text.stat().st_mode & 0o777, sound.stat().st_mode & 0o777) == (0o600, 0o600)
    for log in (worker.said(), (logs / "engine.log").read_text()):
        assert NUMBER not in log
        assert room not in log
