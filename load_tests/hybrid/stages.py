"""What became of one turn: when each model was asked and had answered, and when the caller heard it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load_tests.hybrid.model_server import ANSWER_HZ, Asked

NAMES = {
    "transcript": "end of speech -> recogniser asked",
    "llm": "transcript -> LLM asked",
    "voice": "LLM's first word -> voice asked",
    "heard": "voice's first sound -> heard by the caller",
    "all": "end of speech -> heard by the caller",
}
_LOUD = 300.0
_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Turn:
    """Of each stage in NAMES the seconds it took."""

    seconds: dict[str, float]


def turn(spoke_until: float, asked: Sequence[Asked], heard_at: float) -> Turn:
    """From when the caller's last loud sample went out, the requests since, and when the answer came.

    Models were asked for every part of what was said: what counts is the last of each before the answer.
    Raises ValueError where a model was not asked.
    """
    last = {kind: _last(asked, kind, heard_at) for kind in ("transcriptions", "chat", "speech")}
    return Turn(
        {
            "transcript": last["transcriptions"].arrived_at - spoke_until,
            "llm": last["chat"].arrived_at - last["transcriptions"].answered_at,
            "voice": last["speech"].arrived_at - last["chat"].answered_at,
            "heard": heard_at - last["speech"].answered_at,
            "all": heard_at - spoke_until,
        }
    )


def is_answer(pcm: NDArray[np.int16]) -> bool:
    """Whether a piece of what the caller hears is the voice's hum, and not Moshi."""
    if np.sqrt(np.mean(np.square(pcm, dtype=np.float64))) < _LOUD:
        return False
    power = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(pcm), 1 / _RATE) - ANSWER_HZ) < 150
    return bool(power[near].sum() > 0.8 * power.sum())


def table(turns: Sequence[Turn]) -> str:
    """p50 and p95 of each stage in ms, as Markdown."""
    lines = ["| stage | p50 ms | p95 ms |", "|---|---|---|"]
    for name, means in NAMES.items():
        p50, p95 = np.percentile([each.seconds[name] * 1000 for each in turns], [50, 95])
        lines.append(f"| {means} | {p50:.0f} | {p95:.0f} |")
    return "\n".join(lines)


def _last(asked: Sequence[Asked], kind: str, before: float) -> Asked:
    found = [each for each in asked if each.kind == kind and each.answered_at <= before]
    if not found:
        raise ValueError(f"nobody asked for {kind}")
    return found[-1]
