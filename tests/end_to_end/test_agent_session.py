"""The example of an agent of one's own, `examples/agent_session.py`: in a room, and in LiveKit's console."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.conftest import PATIENCE_S, environment
from tests.end_to_end.console import Console
from tests.end_to_end.line import Line
from tests.end_to_end.processes import ROOT, START_TIMEOUT_S, get, python, running
from tests.end_to_end.sounds import keyed_phrases, share
from tests.worker.waiting import until
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings

EXAMPLE = str(ROOT / "examples" / "agent_session.py")
TONE_HZ = 700
TAKES = 5
TAKE_S = 15.0
(PHRASE,) = keyed_phrases(TONE_HZ, 1, pause_s=0.0)


def seats_used(engine_port: int) -> int:
    seats = json.loads(get(f"http://127.0.0.1:{engine_port}/v1/seats") or "{}")
    return int(seats["in_calls"]) - int(seats["held"])


async def test_its_caller_hears_themselves_reads_words_and_sees_states_through_a_lost_engine(
    livekit: LiveKitSettings, engine_port: int, logs: Path
) -> None:
    mine = livekit.model_copy(update={"livekit_agent_name": "example"})
    before = seats_used(engine_port)
    async with Line.to(engine_port) as line:
        engine = f"ws://127.0.0.1:{line.port}"
        command = python("livekit.agents", "start", "--dev", EXAMPLE)
        with running(command, logs / "example.log", ENGINE_URL=engine, **environment(mine)) as agent:
            await until(lambda: "registered worker" in agent.said(), START_TIMEOUT_S)
            async with Caller.join(mine, new_room()) as caller:
                await caller.wait_for_agent(PATIENCE_S)
                await speak_and_hear_it(caller)
                line.cut()
                await until(lambda: "error: " in agent.said(), PATIENCE_S)
                line.mend()
                await until(lambda: line.connections >= 2, PATIENCE_S)
                await speak_and_hear_it(caller)
                await until(lambda: len(caller.segments) >= 2, PATIENCE_S)
            await until(lambda: agent.said().count("message: ") >= 2, PATIENCE_S)
            await until(lambda: seats_used(engine_port) <= before, PATIENCE_S)
    # One utterance of the model is one segment, but where a busy machine made a hole in it.
    words = " ".join(segment.text for segment in caller.segments)
    assert "I hear you." in words
    assert set(words.replace(".", " ").split()) == {"I", "hear", "you"}
    assert all(segment.final and segment.track_sid.startswith("TR_") for segment in caller.segments)
    assert "Traceback" not in agent.said()


async def speak_and_hear_it(caller: Caller) -> None:
    """All of it, at the level at which it was said, and be shown when the agent speaks, within some takes."""
    takes = [await take(caller)]
    while takes[-1] and len(takes) < TAKES:
        takes.append(await take(caller))
    assert takes[-1] == "", takes


async def take(caller: Caller) -> str:
    """What was wrong with it."""
    begin = len(caller.states)
    await caller.say(PHRASE)
    with suppress(TimeoutError):
        await until(lambda: caller.states[begin:][-1:] == ["listening"], TAKE_S)
    shown, heard = caller.states[begin:], caller.heard
    louder_db = 10 * np.log10((energy(heard) + 1) / energy(PHRASE[::2]))
    right = "speaking" in shown and heard.any() and share(heard, TONE_HZ) > 0.6 and abs(louder_db) < 8
    return "" if right else f"{louder_db:.0f} dB louder than it was said; {shown}"


def energy(pcm: NDArray[np.int16]) -> float:
    return float(np.sum(pcm.astype(np.float64) ** 2))


async def test_it_talks_in_livekits_console(engine_port: int, logs: Path) -> None:
    async with Console.open() as console:
        address = f"127.0.0.1:{console.port}"
        command = python("livekit.agents", "console", EXAMPLE, "--connect-addr", address)
        engine = f"ws://127.0.0.1:{engine_port}"
        with running(command, logs / "console.log", ENGINE_URL=engine) as agent:
            await until(lambda: "agent: listening" in agent.said(), START_TIMEOUT_S)
            await console.say(np.concatenate([PHRASE, np.zeros_like(PHRASE)]))
            await until(lambda: console.states[-2:] == ["AS_SPEAKING", "AS_LISTENING"], PATIENCE_S)
            await until(lambda: "message: " in agent.said(), PATIENCE_S)
    assert share(console.heard, TONE_HZ, rate=48_000) > 0.6
