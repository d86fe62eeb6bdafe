"""The hybrid example, `examples/hybrid.py`: real plugins over HTTP, to models that take no time."""

import asyncio
import json
import socket
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from load_tests.hybrid.model_server import ANSWER_HZ, ModelServer
from tests.end_to_end.conftest import PATIENCE_S, StartWorker, environment
from tests.end_to_end.processes import (
    ROOT,
    START_TIMEOUT_S,
    at_once,
    free_port,
    python,
    running,
    wait_for,
)
from tests.end_to_end.sounds import share
from tests.fake_engine import FakeEngine, serving
from tests.worker.waiting import until
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.settings import LiveKitSettings

EXAMPLE = str(ROOT / "examples" / "hybrid.py")
SPOKEN = sound_files.read(ROOT / "deploy" / "sample.wav", SPEAKING_RATE)[2 * SPEAKING_RATE :]
NOTHING = np.zeros(SPEAKING_RATE // 10, np.int16)
WINDOW = 12_000
LONG = " ".join(["and so on"] * 100)


def hears_the_answer(caller: Caller) -> bool:
    """Whether the last half second is the voice's hum."""
    last = caller.heard[-WINDOW:]
    return len(last) == WINDOW and bool(last.any()) and share(last, ANSWER_HZ) > 0.8


def hears_moshi(caller: Caller) -> bool:
    """Whether something else than that hum has come since the caller began to speak."""
    heard = caller.heard
    pieces = [heard[at : at + WINDOW] for at in range(0, len(heard) - WINDOW + 1, WINDOW)]
    return any(piece.any() and share(piece, ANSWER_HZ) < 0.5 for piece in pieces)


async def speak_until_moshi_is_heard(caller: Caller) -> None:
    """What is said before all parts of the agent are there may be lost."""
    async with asyncio.timeout(PATIENCE_S):
        await caller.say(SPOKEN)
        while not hears_moshi(caller):
            await caller.say(SPOKEN)


def own_words(moshi: FakeEngine) -> str:
    """All that Moshi was to take for its own words."""
    return "".join(words.text for words in moshi.own_words.values())


def is_listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def files_in(folder: Path) -> list[Path]:
    """All that is there."""
    return list(folder.iterdir())


def written(caller: Caller) -> str:
    """All that the agent has said, as its caller reads it."""
    return " ".join(segment.text for segment in caller.segments)


async def test_a_tool_is_called_its_result_is_heard_typed_text_is_answered_and_the_caller_stops_it(
    livekit: LiveKitSettings, engine_port: int, logs: Path
) -> None:
    mine = livekit.model_copy(update={"livekit_agent_name": "hybrid"})
    async with ModelServer.running() as models:
        models.heard = "What is the weather like in Paris?"
        urls = {"LLM_URL": models.url, "STT_URL": models.url, "ENGINE_URL": f"ws://127.0.0.1:{engine_port}"}
        # A model of LiveKit's that says when a turn is over, and that the example does not use.
        spared = {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
        command = python("livekit.agents", "start", "--dev", EXAMPLE)
        with running(command, logs / "hybrid.log", **urls, **spared, **environment(mine)) as agent:
            await until(lambda: "registered worker" in agent.said(), START_TIMEOUT_S)
            async with Caller.join(mine, new_room()) as caller:
                await caller.wait_for_agent(PATIENCE_S)
                await speak_until_moshi_is_heard(caller)
                await until(lambda: hears_the_answer(caller), PATIENCE_S)
                results = [asked.text for asked in models.of("chat") if "twelve degrees" in asked.text]
                spoken = [asked.text for asked in models.of("speech")]
                assert results[0] in " ".join(spoken), "the tool's result is what is said"
                await until(lambda: "twelve degrees" in written(caller), PATIENCE_S)

                models.answer = LONG
                await caller.say(NOTHING)
                await caller.room.local_participant.send_text("Tell me a story.", topic="lk.chat")
                await until(lambda: any("story" in asked.text for asked in models.of("chat")), PATIENCE_S)
                await until(lambda: hears_the_answer(caller), PATIENCE_S)

                models.heard, models.answer = "Stop.", "As you wish."
                await caller.say(SPOKEN)
                await until(lambda: any("Stop" in asked.text for asked in models.of("chat")), PATIENCE_S)
                await until(lambda: not hears_the_answer(caller), PATIENCE_S)
        said = agent.said()
    assert "I hear you" in written(caller), "what Moshi said that was heard"
    understood = str(caller.captions)
    assert "What is the weather" in understood, "and what was understood of its caller"
    read = " ".join(asked.text for asked in models.of("chat"))
    assert "Moshi, the other voice in this call, has said aloud" in read, "the LLM reads it, too"
    assert "Traceback" not in said
    assert "turn answered" in said


async def test_the_ready_made_worker_has_the_models_of_its_settings_and_moshi_takes_answers_for_its_own_words(
    livekit: LiveKitSettings, start_worker: StartWorker
) -> None:
    mine = livekit.model_copy(update={"livekit_agent_name": "modes"})
    async with ModelServer.running() as models, serving(FakeEngine()) as moshi:
        urls = dict.fromkeys(("WORKER_LLM_URL", "WORKER_STT_URL", "WORKER_TTS_URL"), models.url)
        settings = {"WORKER_MODE": "hybrid", "WORKER_LLM_MODEL": "none", "WORKER_DISCLOSURE": "all"}
        with ExitStack() as until_the_end:
            starting = start_worker("start", "modes", **urls, **settings, ENGINE_URL=moshi.url)
            # It asks for the engine, which is in this process.
            worker = await asyncio.to_thread(until_the_end.enter_context, starting)
            async with Caller.join(mine, new_room()) as caller:
                await caller.wait_for_agent(PATIENCE_S)
                shown = caller.agent_attributes
                assert (shown["moshi.mode"], shown["moshi.text_input"]) == ("hybrid", "true")
                await until(lambda: any("a machine" in each.text for each in caller.segments), PATIENCE_S)
                await caller.say(NOTHING)
                await until(lambda: moshi.frames, PATIENCE_S)
                await caller.room.local_participant.send_text("Hello?", topic="lk.chat")
                await until(lambda: hears_the_answer(caller), PATIENCE_S)
                await until(lambda: "Good day" in own_words(moshi), PATIENCE_S)
            await until(lambda: '"call ended"' in worker.said(), PATIENCE_S)
    assert '"reason": "caller_left"' in worker.said()
    assert "Traceback" not in worker.said()
    own = b"".join(words.sound for words in moshi.own_words.values())
    assert share(np.frombuffer(own, "<i2"), ANSWER_HZ) > 0.8, "the sound of its words is the answer's"


async def test_a_pipeline_needs_no_engine_calls_a_tool_of_an_mcp_server_and_is_written_down(
    livekit: LiveKitSettings, start_worker: StartWorker, logs: Path, tmp_path: Path
) -> None:
    mine = livekit.model_copy(update={"livekit_agent_name": "pipeline"})
    port = free_port()
    async with ModelServer.running() as models:
        urls = dict.fromkeys(("WORKER_LLM_URL", "WORKER_STT_URL", "WORKER_TTS_URL"), models.url)
        tools = {"WORKER_MCP_SERVERS": f"http://127.0.0.1:{port}/mcp"}
        settings = {
            "WORKER_MODE": "pipeline",
            "WORKER_LLM_MODEL": "none",
            "WORKER_TRANSCRIPTS": str(tmp_path),
        }
        with at_once(
            running(python("tests.end_to_end.mcp_weather", str(port)), logs / "mcp.log"),
            start_worker("start", "pipeline", **urls, **settings, **tools),
        ) as (mcp, worker):
            wait_for(mcp, lambda: is_listening(port))
            async with Caller.join(mine, new_room()) as caller:
                await caller.wait_for_agent(PATIENCE_S)
                shown = caller.agent_attributes
                assert (shown["moshi.mode"], shown["moshi.text_input"]) == ("pipeline", "true")
                assert "What is said is kept as text." in shown["moshi.notice"]
                await caller.say(NOTHING)
                question = "What is the weather like in Paris?"
                await caller.room.local_participant.send_text(question, topic="lk.chat")
                await until(lambda: hears_the_answer(caller), PATIENCE_S)
                assert "the sun shines" in " ".join(asked.text for asked in models.of("speech"))
                await until(lambda: "the sun shines" in written(caller), PATIENCE_S)
                await until(lambda: caller.states[-1] == "listening", PATIENCE_S)
            await until(lambda: '"call ended"' in worker.said(), PATIENCE_S)
        said = worker.said()
    (file,) = files_in(tmp_path)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["who"] for line in lines] == ["caller", "answer"]
    assert lines[0]["text"] == question
    assert "the sun shines" in lines[1]["text"]
    assert "Traceback" not in said
