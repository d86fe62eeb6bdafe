"""The model of an engine that speaks texts: loaded and measured before the one of its conversations."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch

from engine.checkpoint import Model, load
from engine.checkpoint.tts_voices import TtsVoice, load_voices
from engine.memory import room_for
from engine.step.build import make_tts_runner
from engine.step.capacity import Beside, Variant
from engine.step.tts_runner import TtsRunner

log = logging.getLogger(__name__)

_WARM_UP_STEPS = 3
_MOST_STEPS = 200
_SECONDS = 0.8
_WORDS = "one two three four five six seven eight nine ten "


@dataclass(frozen=True, slots=True)
class StartedTts:
    """A model in memory with room for `sessions`. step_s: 99th percentile of a step with all of them."""

    model: Model
    runner: TtsRunner
    voices: Mapping[str, TtsVoice]
    sessions: int
    step_s: float


def start_tts(
    checkpoint: str, sessions: int, voices: Path | None, device: torch.device, dtype: torch.dtype
) -> StartedTts:
    """Raises CheckpointError; SettingError where memory is too small, and for voices that cannot be used."""
    beside = Beside(Variant(checkpoint, dtype), sessions)
    with room_for(beside, device, "speech", "--tts-sessions"):
        model = load(checkpoint, device, dtype)
        named = load_voices(voices, model) if voices else {}
        runner = make_tts_runner(model, sessions, named.values())
        step_s = _step_p99_s(runner, next(iter(named.values()), None), model)
    log.info(
        "measured speech",
        extra={
            "model": model.name,
            "sessions": sessions,
            "voices": len(named),
            "step_p99_ms": round(1000 * step_s, 1),
        },
    )
    return StartedTts(model, runner, named, sessions, step_s)


def _step_p99_s(runner: TtsRunner, voice: TtsVoice | None, model: Model) -> float:
    """As `step_p99_s`, of a model that speaks texts: all slots in long ones, without an end."""
    slots = range(runner.slots)
    for slot in slots:
        runner.open(slot, voice, model.sampling)
    runner.fill_context(model.lm.config.transformer.context)
    times: list[float] = []
    began = time.perf_counter()
    for number in count():
        for slot in slots:
            while not runner.ready(slot):
                runner.say(slot, _WORDS)
        before = time.perf_counter()
        runner.step(slots)
        if number >= _WARM_UP_STEPS:
            times.append(time.perf_counter() - before)
        if times and (len(times) == _MOST_STEPS or time.perf_counter() - began > _SECONDS):
            break
    return float(np.percentile(times, 99, method="lower"))
