"""From settings to a model that is ready for calls, in a device's memory and in time."""

import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from engine.checkpoint import Model, load
from engine.checkpoint.fingerprint import fingerprint
from engine.device import choose_device, choose_dtype, wait
from engine.errors import SettingError
from engine.memory import Room, enough_memory
from engine.persona.prompt import Personas
from engine.settings import EngineSettings
from engine.start_personas import personas
from engine.start_stt import StartedStt, start_stt
from engine.start_tts import StartedTts, start_tts
from engine.state.saved import SavedForm
from engine.step.build import make_runner
from engine.step.capacity import MOST_SLOTS, Variant
from engine.step.frames import FRAME_S
from engine.step.loop import Runner
from engine.step.measure import (
    MARGIN_S,
    PromptPart,
    StepTimes,
    fill,
    prompt_part,
    sessions_in_time,
    step_p99_s,
)

log = logging.getLogger(__name__)

_MOST_SLOTS = {"cuda": MOST_SLOTS, "cpu": 8, "mps": 8}
"""What is tried where nobody says how many: without a GPU of its own time ends long before memory."""


@dataclass(frozen=True, slots=True)
class Started:
    """A model in memory and `seats` for sessions, whose steps take `times`.

    form: in which sessions move between this engine and its peers, if it has any; personas: what the
    model can be told to be; stt, tts: the models beside it.
    """

    model: Model
    runner: Runner
    seats: int
    times: StepTimes
    form: SavedForm | None
    device: torch.device
    personas: Personas | None
    stt: StartedStt | None = None
    tts: StartedTts | None = None


def start(settings: EngineSettings) -> Started:
    """Loads, measures, and offers as many sessions as fit into memory and are served in time.

    Raises CheckpointError; SettingError where memory is too small for what was asked for, or time for one
    session.
    """
    device = choose_device(settings.device)
    variant = Variant(
        settings.checkpoint, choose_dtype(settings.dtype, device), settings.weights, settings.kv
    )
    stt = None
    if settings.stt_checkpoint is not None:
        stt = start_stt(settings.stt_checkpoint, settings.stt_sessions, device, variant.dtype)
    tts = None
    if settings.tts_checkpoint is not None:
        tts = start_tts(
            settings.tts_checkpoint, settings.tts_sessions, settings.tts_voices, device, variant.dtype
        )
    room = Room.on(device)
    slots = settings.slots or max(1, min(room.slots(variant), _MOST_SLOTS[device.type]))
    room.check(variant, slots)
    with enough_memory(lambda: room.too_little_for(variant, slots)):
        model = load(settings.checkpoint, device, variant.dtype, variant.weights, settings.lora)
        runner = make_runner(model, slots, variant.kv)
        told = personas(settings, model)
        # What is loaded stays: the collector need not walk it while calls are on.
        gc.collect()
        gc.freeze()
        context = model.lm.config.transformer.context
        fill(runner, slots, context)
        prompt = PromptPart()
        if told is not None:
            channels, step_s = 1 + model.lm.config.n_q, step_p99_s(runner, 1)
            prompt = prompt_part(runner, channels, told.longest, step_s, partial(wait, device))
            fill(runner, slots, context)
        between = {name: each.step_s for name, each in (("stt", stt), ("tts", tts)) if each}
        seats, times = _measure(runner, slots, settings.allow_slower_than_real_time, between, prompt)
        form = None
        if settings.peer_token is not None:
            form = SavedForm(fingerprint(model, variant.kv), runner.state, pinned=device.type == "cuda")
    return Started(model, runner, seats, times, form, device, told, stt, tts)


def _measure(
    runner: Runner, slots: int, slower: bool, between: Mapping[str, float], prompt: PromptPart
) -> tuple[int, StepTimes]:
    """How many of `slots` sessions to offer: those in time, or with `slower` all. between: how long a step of
    each model beside takes, one of which comes between two of these, as does a part of a prompt.
    """
    between_s = sum(between.values())

    def step_s(sessions: int) -> float:
        return step_p99_s(runner, sessions)

    if slower:
        alone_and_all = {sessions: step_s(sessions) for sessions in {1, slots}}
        seats, times = slots, StepTimes(alone_and_all, between_s, prompt)
    else:
        seats, times = sessions_in_time(step_s, slots, between_s, prompt)
    measured: dict[str, float] = {
        f"step_{n}_p99_ms": round(1000 * p99_s, 1) for n, p99_s in sorted(times.p99_s.items())
    }
    if prompt.longest_s:
        measured["prompt_positions"] = prompt.positions
        measured["prompt_ms"] = round(1000 * prompt.longest_s, 1)
    log.info("measured", extra=measured)
    if seats == 0:
        raise SettingError(
            f"this device is too slow for one session: its step takes {1000 * times.step_s(1):.1f} ms (99th "
            f"percentile), and twice that{_and(between, prompt)} and {1000 * MARGIN_S:.0f} ms must fit into "
            f"{1000 * FRAME_S:.0f}\n"
            "take a smaller checkpoint, a device that is faster or less busy, or on a GPU --weights int8; "
            "--allow-slower-than-real-time or ENGINE_ALLOW_SLOWER_THAN_REAL_TIME=1 starts anyway"
        )
    predicted = {"slots": slots, "seats": seats, "latest_answer_ms": round(1000 * times.answer_s(seats), 1)}
    if seats < slots:
        log.warning(
            "fewer sessions are served in time than there are slots: the others get no seat", extra=predicted
        )
    elif not times.in_time(seats):
        log.warning("answers will come late: slower than real time, as allowed", extra=predicted)
    return seats, times


def _and(between: Mapping[str, float], prompt: PromptPart) -> str:
    kinds = {"stt": "transcriptions (--stt-sessions)", "tts": "speech (--tts-sessions)"}
    twice = "twice " if prompt.longest_s else ""
    others = [f"{twice}{1000 * step_s:.1f} ms of {kinds[name]}" for name, step_s in between.items()]
    if prompt.longest_s:
        others.append(f"{1000 * prompt.longest_s:.1f} ms of a prompt")
    return "".join(f", {other}" for other in others)
