"""From settings to a model that is ready for calls, in a device's memory and in time."""

import gc
import logging
from dataclasses import dataclass

import torch

from engine.checkpoint import Model, load
from engine.checkpoint.fingerprint import fingerprint
from engine.device import choose_device, choose_dtype
from engine.errors import SettingError
from engine.memory import Room, enough_memory
from engine.persona.prompt import Personas
from engine.settings import EngineSettings
from engine.start_personas import personas
from engine.start_stt import StartedStt, start_stt
from engine.state.saved import SavedForm
from engine.step.build import make_runner
from engine.step.capacity import MOST_SLOTS, Variant
from engine.step.frames import FRAME_S
from engine.step.loop import Runner
from engine.step.measure import MARGIN_S, StepTimes, fill, sessions_in_time, step_p99_s

log = logging.getLogger(__name__)

_MOST_SLOTS = {"cuda": MOST_SLOTS, "cpu": 8, "mps": 8}
"""What is tried where nobody says how many: without a GPU of its own time ends long before memory."""


@dataclass(frozen=True, slots=True)
class Started:
    """A model in memory and `seats` for sessions, whose steps take `times`.

    form: in which sessions move between this engine and its peers, if it has any; personas: what the
    model can be told to be; stt: the model beside it.
    """

    model: Model
    runner: Runner
    seats: int
    times: StepTimes
    form: SavedForm | None
    device: torch.device
    personas: Personas | None
    stt: StartedStt | None = None


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
        fill(runner, slots, model.lm.config.transformer.context)
        between_s = stt.step_s if stt else 0.0
        seats, times = _measure(runner, slots, settings.allow_slower_than_real_time, between_s)
        form = None
        if settings.peer_token is not None:
            form = SavedForm(fingerprint(model, variant.kv), runner.state, pinned=device.type == "cuda")
    return Started(model, runner, seats, times, form, device, told, stt)


def _measure(runner: Runner, slots: int, slower: bool, between_s: float) -> tuple[int, StepTimes]:
    """How many of `slots` sessions to offer: those in time, or with `slower` all. between_s: as `StepTimes`
    has it.
    """

    def step_s(sessions: int) -> float:
        return step_p99_s(runner, sessions)

    if slower:
        seats, times = slots, StepTimes({sessions: step_s(sessions) for sessions in {1, slots}}, between_s)
    else:
        seats, times = sessions_in_time(step_s, slots, between_s)
    measured = {f"step_{n}_p99_ms": round(1000 * p99_s, 1) for n, p99_s in sorted(times.p99_s.items())}
    log.info("measured", extra=measured)
    if seats == 0:
        raise SettingError(
            f"this device is too slow for one session: its step takes {1000 * times.step_s(1):.1f} ms (99th "
            f"percentile), and twice that{_and(between_s)} and {1000 * MARGIN_S:.0f} ms must fit into "
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


def _and(between_s: float) -> str:
    return f", {1000 * between_s:.1f} ms of transcriptions (--stt-sessions)" if between_s else ""
