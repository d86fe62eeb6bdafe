"""A checkpoint's name to a model on its device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.config_file import lm_config, mimi_config
from engine.checkpoint.config_keys import Keys
from engine.checkpoint.locate import Files, locate
from engine.checkpoint.names import lm_entries, lm_unused, mimi_entries
from engine.checkpoint.random_weights import randomise, tiny_lm, tiny_mimi
from engine.checkpoint.tokenizer import NumberTokenizer, SentencePieceTokenizer, Tokenizer
from engine.checkpoint.weights import allocate, fill
from engine.errors import CheckpointError, SettingError
from engine.models.config import LMConfig, MimiConfig, WeightPrecision
from engine.models.float8 import runs_float8
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.frames import Sampling

_RANDOM: dict[str, tuple[Callable[[], MimiConfig], Callable[[], LMConfig]]] = {
    "random:moshi-7b": (MimiConfig.official, LMConfig.moshi_7b),
    "random:tiny": (tiny_mimi, tiny_lm),
}


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint in memory. `sampling` is how it asks to be sampled."""

    name: str
    mimi: Mimi
    lm: LM
    tokenizer: Tokenizer
    sampling: Sampling


def load(
    name: str,
    device: torch.device,
    dtype: torch.dtype | None = None,
    weights: WeightPrecision = "exact",
) -> Model:
    """The checkpoint `name` on `device`: `parrot`, a folder, a Hugging Face repository, `random:moshi-7b` or
    `random:tiny`.

    dtype: of the language model; None is `default_dtype`. weights: how its matrices are kept, those
    of a q8 checkpoint in int8 in any case. Raises `CheckpointError`, and `SettingError` for weights that the
    device or the checkpoint has no use for.
    """
    if weights == "fp8" and not runs_float8(device):
        raise SettingError(
            f"fp8 weights need a GPU of compute capability 8.9 or higher, which '{device}' is not; "
            "take int8, which is more exact as well"
        )
    if dtype is None:
        dtype = default_dtype(device)
    if name in _RANDOM:
        codec, language = _RANDOM[name]
        lm = _empty_lm(language(), device, dtype, weights)
        randomise(lm)
        return Model(
            name, _random_mimi(codec(), device), lm, NumberTokenizer(lm.config.silent_text), Sampling()
        )
    _refuse_unknown_random(name)
    files = locate(name)
    config = lm_config(files.config, files.model_type)
    tokenizer = SentencePieceTokenizer(files.tokenizer(), config.silent_text)
    if config.quantize and weights == "fp8":
        raise SettingError(f"{_title(name)} has int8 weights; take exact or int8 for it, not fp8")
    mimi = _mimi(files, device)
    lm = _empty_lm(config, device, dtype, weights)
    fill(lm, lm_entries(lm), files.lm(), unused=lm_unused(lm))
    return Model(_title(name), mimi, lm, tokenizer, _sampling(files.lm_gen))


def default_dtype(device: torch.device) -> torch.dtype:
    """What the language model computes in where nobody says: float32 on CPU, bfloat16 elsewhere."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def outline(name: str, dtype: torch.dtype, weights: WeightPrecision = "exact") -> tuple[Mimi, LM]:
    """The models of a checkpoint on the meta device, by its configuration: what `load` would allocate.

    Raises `CheckpointError`.
    """
    if name in _RANDOM:
        codec, language = _RANDOM[name][0](), _RANDOM[name][1]()
    else:
        _refuse_unknown_random(name)
        files = locate(name)
        codec, language = mimi_config(files.mimi_config), lm_config(files.config, files.model_type)
    nowhere = torch.device("meta")
    return _empty_mimi(codec, nowhere), _empty_lm(language, nowhere, dtype, weights)


def load_mimi(name: str, device: torch.device) -> Mimi:
    """The codec alone, of the same checkpoints as `load`. Raises `CheckpointError`."""
    if name in _RANDOM:
        return _random_mimi(_RANDOM[name][0](), device)
    _refuse_unknown_random(name)
    return _mimi(locate(name), device)


def _empty_lm(config: LMConfig, device: torch.device, dtype: torch.dtype, weights: WeightPrecision) -> LM:
    with torch.device("meta"):
        lm = LM(config, weights)
    allocate(lm, device, dtype)
    return lm


def _empty_mimi(config: MimiConfig, device: torch.device) -> Mimi:
    with torch.device("meta"):
        mimi = Mimi(config)
    allocate(mimi, device, torch.float32)
    return mimi


def _mimi(files: Files, device: torch.device) -> Mimi:
    config = mimi_config(files.mimi_config)
    if (config.sample_rate, config.frame_rate) != (24_000, 12.5):
        raise CheckpointError(
            f"{files.name}: Mimi works at {config.sample_rate} Hz and {config.frame_rate} frames a second; "
            "this engine runs 24000 Hz and 12.5"
        )
    mimi = _empty_mimi(config, device)
    fill(mimi, mimi_entries(mimi), files.mimi())
    return mimi


def _random_mimi(config: MimiConfig, device: torch.device) -> Mimi:
    mimi = _empty_mimi(config, device)
    randomise(mimi)
    # As loud as speech, where the rest of the decoder gives about 1.
    mimi.decoder.last.weight.mul_(0.05)
    return mimi


def _title(name: str) -> str:
    """What clients are told: of a folder its own name, for its path is nobody else's business."""
    folder = Path(name).expanduser()
    return folder.resolve().name if folder.is_dir() else name


def _refuse_unknown_random(name: str) -> None:
    if name.startswith("random:"):
        raise CheckpointError(f"no checkpoint '{name}': random weights come as {' or '.join(_RANDOM)}")


def _sampling(lm_gen: Mapping[str, Any]) -> Sampling:
    keys, default = Keys("config.json: lm_gen_config", lm_gen), Sampling()
    return Sampling(
        temperature=keys.number("temp", default.temperature),
        top_k=int(keys.number("top_k", default.top_k)),
        temperature_text=keys.number("temp_text", default.temperature_text),
        top_k_text=int(keys.number("top_k_text", default.top_k_text)),
    )
