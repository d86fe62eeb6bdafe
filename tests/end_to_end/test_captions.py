"""What a caller says, in words, in a room of a real LiveKit server: by an engine with two models."""

import re
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.processes import free_port, get, python, running, wait_for
from tests.end_to_end.sounds import keyed_phrases
from tests.worker.waiting import until
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings

AGENT = "captions"

pytestmark = pytest.mark.timeout(180)


async def test_callers_read_their_own_words_under_their_own_name_and_the_models_under_its(
    livekit: LiveKitSettings, start_worker: StartWorker, tmp_path: Path
) -> None:
    port = free_port()
    models = ("--checkpoint", "parrot", "--stt-checkpoint", "random:tiny-stt", "--stt-sessions", "1")
    options = ("--slots", "1", "--port", str(port), "--allow-slower-than-real-time")
    with running(python("engine", "serve", *models, *options), tmp_path / "engine.log") as engine:
        wait_for(engine, lambda: get(f"http://127.0.0.1:{port}/readyz"))
        settings = livekit.model_copy(update={"livekit_agent_name": AGENT})
        address = {"ENGINE_URL": f"ws://127.0.0.1:{port}", "WORKER_CAPTIONS": "true"}
        with start_worker("start", AGENT, **address):
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
