"""From a loaded model to what steps it on its device."""

from collections.abc import Iterable

import torch

from engine.checkpoint import Model
from engine.checkpoint.tts_voices import TtsVoice
from engine.errors import CheckpointError, SettingError
from engine.models.config import KvPrecision
from engine.models.float8 import runs_float8
from engine.step.cuda_graph import CudaGraphs
from engine.step.eager_runner import EagerRunner
from engine.step.graph_runner import GraphRunner
from engine.step.moshi_step import MoshiStep
from engine.step.stt_runner import SttGraphRunner, SttRunner
from engine.step.stt_step import SttStep
from engine.step.tts_runner import TtsRunner
from engine.step.tts_step import USUAL_VOICE, TtsStep


def make_runner(model: Model, slots: int, kv: KvPrecision = "exact") -> EagerRunner:
    """A `Runner` over `slots` sessions: graphs on CUDA, captured here, and op by op elsewhere.

    Raises `torch.OutOfMemoryError`, `SettingError` for a precision that the device does not have, and
    `CheckpointError` for a model that does not both listen and speak.
    """
    device = model.lm.device
    _check(kv, device)
    step = MoshiStep(model.mimi, model.lm, slots, kv)
    if device.type != "cuda":
        return EagerRunner(step, device)
    return GraphRunner(step, device, CudaGraphs(device))


def make_stt_runner(model: Model, slots: int, kv: KvPrecision = "exact") -> SttRunner:
    """As `make_runner`, of a model that only listens. Raises `CheckpointError` for any other."""
    device = model.lm.device
    _check(kv, device)
    step = SttStep(model.mimi, model.lm, slots, kv)
    if model.stt is None:
        raise CheckpointError(
            f"{model.name}: config.json has no 'stt_config', which tells how late words come; take the "
            "original file"
        )
    if device.type != "cuda":
        return SttRunner(step, device)
    return SttGraphRunner(step, device, CudaGraphs(device))


def make_tts_runner(model: Model, slots: int, voices: Iterable[TtsVoice] = ()) -> TtsRunner:
    """What reads aloud in up to `slots` sessions, in any of `voices`; op by op on every device.

    Raises `torch.OutOfMemoryError`, and `CheckpointError` for a model that does anything else.
    """
    if model.tts is None:
        raise CheckpointError(
            f"{model.name}: config.json has no 'tts_config': this model does not read aloud; take one such "
            "as kyutai/tts-1.6b-en_fr"
        )
    longest = max((len(voice.vectors) for voice in voices), default=0)
    step = TtsStep(model.mimi, model.lm, slots, model.tts.delay, max(longest, USUAL_VOICE))
    return TtsRunner(step, model.tts, model.tokenizer)


def _check(kv: KvPrecision, device: torch.device) -> None:
    if kv == "e4m3" and not runs_float8(device):
        raise SettingError(
            f"e4m3 keys and values need a GPU of compute capability 8.9 or higher, which '{device}' is not; "
            "take int8, which is more exact as well"
        )
