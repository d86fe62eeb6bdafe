"""What a caller says, in words, and a text read aloud, in rooms of a real LiveKit server: by an engine with
three models."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.processes import ROOT, free_port, get, python, running, wait_for
from tests.end_to_end.sounds import keyed_phrases
from tests.worker.waiting import until
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings
from worker.tokens import agent_token

AGENT = "captions"
PAGE = ROOT / "docs" / "speech.md"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def engine(logs: Path) -> Iterator[str]:
    """The address of one that hears, writes down and reads aloud, each for one at a time."""
    port = free_port()
    stt = ("--stt-checkpoint", "random:tiny-stt", "--stt-sessions", "1")
    tts = ("--tts-checkpoint", "random:tiny-tts", "--tts-sessions", "1")
    options = ("--slots", "1", "--port", str(port), "--allow-slower-than-real-time")
    command = python("engine", "serve", "--checkpoint", "parrot", *stt, *tts, *options)
    with running(command, logs / "engine-of-three.log") as process:
        wait_for(process, lambda: get(f"http://127.0.0.1:{port}/readyz"))
        yield f"ws://127.0.0.1:{port}"


async def test_callers_read_their_own_words_under_their_own_name_and_the_models_under_its(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: str
) -> None:
    settings = livekit.model_copy(update={"livekit_agent_name": AGENT})
    with start_worker("start", AGENT, ENGINE_URL=engine, WORKER_CAPTIONS="true"):
        async with Caller.join(settings, new_room(), lambda _: None) as caller:
            await caller.wait_for_agent(PATIENCE_S)
            for phrase in keyed_phrases(700, 2):
                await caller.say(phrase)
            await until(lambda: caller.captions, PATIENCE_S)
            await until(lambda: caller.segments, PATIENCE_S)
            me = caller.room.local_participant.identity
    assert set(caller.captions) == {me}
    # Weights that nobody trained say numbers; the parrot's words are its own.
    assert re.fullmatch(r"[\d ]+", caller.captions[me])
    assert any("hear" in segment.text for segment in caller.segments)


async def test_the_example_of_the_page_reads_a_text_aloud_in_a_room(
    livekit: LiveKitSettings, engine: str
) -> None:
    (example,) = re.findall(r"^```python\n(from livekit.*?)^```", PAGE.read_text(), re.M | re.S)
    names: dict[str, Any] = {}
    exec(example.replace("ws://127.0.0.1:8998", engine), names)
    name, room = new_room(), rtc.Room()
    async with Caller.join(livekit, name) as caller:
        # What is heard is kept from here on.
        await caller.say(np.zeros(4800, np.int16))
        await room.connect(livekit.livekit_url, agent_token(livekit, name, "reader", "", {}))
        session = await names["greet"](room)
        try:
            await until(lambda: caller.heard.any(), PATIENCE_S)
            await until(lambda: caller.segments, PATIENCE_S)
        finally:
            await session.aclose()
            await room.disconnect()
    assert [segment.text for segment in caller.segments] == ["Good morning."]
