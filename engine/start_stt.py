"""The second model of an engine, speech to text: loaded and measured before the first."""

import logging
from dataclasses import dataclass

import torch

from engine.checkpoint import Model, load
from engine.memory import room_for
from engine.step.build import make_stt_runner
from engine.step.capacity import Beside, Variant
from engine.step.measure import fill, step_p99_s
from engine.step.stt_runner import SttRunner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartedStt:
    """A model in memory with room for `sessions`. step_s: 99th percentile of a step with all of them."""

    model: Model
    runner: SttRunner
    sessions: int
    step_s: float


def start_stt(checkpoint: str, sessions: int, device: torch.device, dtype: torch.dtype) -> StartedStt:
    """Raises CheckpointError; SettingError where memory is too small."""
    beside = Beside(Variant(checkpoint, dtype), sessions)
    with room_for(beside, device, "transcriptions", "--stt-sessions"):
        model = load(checkpoint, device, dtype)
        runner = make_stt_runner(model, sessions)
        fill(runner, sessions, model.lm.config.transformer.context)
        step_s = step_p99_s(runner, sessions)
    log.info(
        "measured transcription",
        extra={"model": model.name, "sessions": sessions, "step_p99_ms": round(1000 * step_s, 1)},
    )
    return StartedStt(model, runner, sessions, step_s)
