"""How late a voice detection says that speech is over: its own judgement, with no network, and in no time."""

from collections.abc import Sequence

import numpy as np
from livekit import rtc
from livekit.agents import inference, vad
from numpy.typing import NDArray

_RATE = 24_000
"""At which an AgentSession hears."""
_PIECE = _RATE // 50
_WINDOW_MS = 32
_PAUSE_S = 1.0


async def judged_late_s(
    said: NDArray[np.int16], ends_s: float, leads_ms: Sequence[int] = range(0, _WINDOW_MS, 4)
) -> list[float]:
    """From `ends_s`, where the last sound of `said` is, until the end of speech as the detection dates it.

    said: int16 [N] at 24 kHz. The silence that it waits for is left out. leads_ms: so much silence is before
    it, once each: where the windows of the detection begin is chance in a call. Raises ValueError where it
    hears no speech.
    """
    return [await _judged(said, ends_s, lead_ms / 1000) for lead_ms in leads_ms]


async def _judged(said: NDArray[np.int16], ends_s: float, lead_s: float) -> float:
    lead = np.zeros(round(lead_s * _RATE), np.int16)
    pause = np.zeros(round(_PAUSE_S * _RATE), np.int16)
    sound = np.concatenate([lead, said, pause])
    stream = inference.VAD(model="silero").stream()
    try:
        for begin in range(0, len(sound) - _PIECE + 1, _PIECE):
            pcm = sound[begin : begin + _PIECE]
            stream.push_frame(rtc.AudioFrame(pcm.tobytes(), _RATE, 1, _PIECE))
        stream.end_input()
        ends = [event async for event in stream if event.type is vad.VADEventType.END_OF_SPEECH]
    finally:
        await stream.aclose()
    if not ends:
        raise ValueError("the voice detection hears no speech there")
    return ends[-1].timestamp - ends[-1].silence_duration - lead_s - ends_s
