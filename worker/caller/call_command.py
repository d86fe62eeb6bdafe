"""`worker call`: one recording into a room, what comes back out of it."""

import asyncio
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.output_files import check_writable
from engine.step.frames import SAMPLE_RATE
from worker.caller import sound_files
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.caller.lag import find_echo, first_sound_s
from worker.preflight import check_livekit
from worker.settings import LiveKitSettings

_LIVEKIT_PATIENCE_S = 2.0
_ECHO_CORRELATION = 0.6


class AgentLeft(EngineError):
    """The agent left, or the connection was lost, before the recording and its tail were over."""

    def __init__(self, heard_s: float) -> None:
        super().__init__(
            f"the agent was gone after {heard_s:.1f} s, before the call was over: its worker's log says why"
        )


async def call(
    recording: Path, answer: Path, settings: LiveKitSettings, *, room: str | None, tail_s: float
) -> None:
    """Play `recording` to an agent, write its `answer`.

    Raises AudioFileError, SettingError, NoConnection, NoAgent, and AgentLeft once the answer is written.
    """
    speech = sound_files.read(recording, SPEAKING_RATE)
    check_writable(answer)
    await check_livekit(settings, _LIVEKIT_PATIENCE_S)
    room = room or new_room()
    async with Caller.join(settings, room, on_text=lambda text: _tell(text, end="")) as caller:
        _tell(f"in room {room}, waiting for an agent")
        await caller.wait_for_agent()
        _tell(f"speaking for {len(speech) / SPEAKING_RATE:.1f} s; the model says:")
        saying = asyncio.create_task(_say(caller, speech, tail_s))
        leaving = asyncio.create_task(caller.agent_left.wait())
        await asyncio.wait([saying, leaving], return_when=asyncio.FIRST_COMPLETED)
        left_early = not saying.done()
        saying.cancel()
        leaving.cancel()
        heard = caller.heard
    sound_files.write(answer, heard, SAMPLE_RATE)
    _tell(f"\n{answer}: {len(heard) / SAMPLE_RATE:.1f} s")
    for fact in facts(speech, heard):
        _tell(fact)
    if left_early:
        raise AgentLeft(len(heard) / SAMPLE_RATE)


async def _say(caller: Caller, speech: NDArray[np.int16], tail_s: float) -> None:
    await caller.say(speech)
    await asyncio.sleep(tail_s)


def facts(speech: NDArray[np.int16], heard: NDArray[np.int16]) -> list[str]:
    """What the sound of an answer tells: when it began, and how late it is if it repeats what was said.

    speech: int16 [N] at SPEAKING_RATE; heard: int16 [N] at 24 kHz, from the moment when speaking began.
    """
    first_s = first_sound_s(heard)
    if first_s is None:
        return ["nothing was to be heard"]
    lines = [f"first sound {first_s:.2f} s after you began to speak"]
    echo = find_echo(speech[:: SPEAKING_RATE // SAMPLE_RATE], heard)
    if echo.correlation >= _ECHO_CORRELATION:
        lines.append(
            f"it follows your voice {echo.lag_s:.2f} s later (envelopes correlate {echo.correlation:.2f})"
        )
    return lines


def _tell(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201  # progress of a command, for its user
