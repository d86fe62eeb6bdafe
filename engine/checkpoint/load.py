"""A checkpoint's name to a model on its device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.config_file import PERSONAPLEX, lm_config, mimi_config, stt_config
from engine.checkpoint.config_keys import Keys
from engine.checkpoint.config_tts import tts_config, tts_lm_config
from engine.checkpoint.locate import Files, locate
from engine.checkpoint.locate_lora import locate_lora, own_lora
from engine.checkpoint.names import lm_entries, lm_unused, mimi_entries
from engine.checkpoint.personaplex import personaplex_entries
from engine.checkpoint.random_weights import (
    randomise,
    tiny_lm,
    tiny_mimi,
    tiny_personaplex,
    tiny_stt,
    tiny_tts,
    tts_1_6b,
)
from engine.checkpoint.tokenizer import NumberTokenizer, SentencePieceTokenizer, Tokenizer
from engine.checkpoint.weights import allocate, fill
from engine.errors import CheckpointError, SettingError
from engine.models.config import LMConfig, MimiConfig, SttConfig, TtsConfig, WeightPrecision
from engine.models.float8 import runs_float8
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.frames import Sampling

_RANDOM_PERSONAPLEX = "random:tiny-personaplex"
_RANDOM: dict[str, tuple[Callable[[], MimiConfig], Callable[[], LMConfig]]] = {
    "random:moshi-7b": (MimiConfig.official, LMConfig.moshi_7b),
    "random:tiny": (tiny_mimi, tiny_lm),
    _RANDOM_PERSONAPLEX: (partial(tiny_mimi, bins=2048), tiny_personaplex),
    "random:stt-1b": (MimiConfig.official, LMConfig.stt_1b),
    "random:tiny-stt": (tiny_mimi, tiny_stt),
    "random:tts-1.6b": (MimiConfig.official, tts_1_6b),
    "random:tiny-tts": (tiny_mimi, tiny_tts),
}
_RANDOM_STT = SttConfig(delay_s=0.5)
_RANDOM_TTS = {"random:tts-1.6b": TtsConfig(16, 2), "random:tiny-tts": TtsConfig(4, 2)}
_GREEDY = Sampling(temperature=0.0, temperature_text=0.0)
_READING = Sampling(temperature=0.6, temperature_text=0.6)
"""How upstream's `TTSModel` draws."""


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint in memory. `sampling` is how it asks to be sampled; `stt`: of speech to text alone, `tts`:
    of text to speech; `personas`: it can be told who it is, by a voice and a role.
    """

    name: str
    mimi: Mimi
    lm: LM
    tokenizer: Tokenizer
    sampling: Sampling
    stt: SttConfig | None = None
    personas: bool = False
    tts: TtsConfig | None = None


def load(
    name: str,
    device: torch.device,
    dtype: torch.dtype | None = None,
    weights: WeightPrecision = "exact",
    lora: str | None = None,
    codebooks: int | None = None,
) -> Model:
    """The checkpoint `name` on `device`: `parrot`, a folder, a Hugging Face repository, or random weights.

    dtype: of the language model; None is `default_dtype`. weights: how its matrices are kept, those
    of a q8 checkpoint in int8 in any case. lora: an adapter by its file, folder or repository; None is the
    one that the checkpoint names, if any. codebooks: how many a model says, the first ones; None is all that
    it was trained for. Raises `CheckpointError`, and `SettingError` for weights that the device or the
    checkpoint has no use for.
    """
    if weights == "fp8" and not runs_float8(device):
        raise SettingError(
            f"fp8 weights need a GPU of compute capability 8.9 or higher, which '{device}' is not; "
            "take int8, which is more exact as well"
        )
    if dtype is None:
        dtype = default_dtype(device)
    if name in _RANDOM:
        if lora is not None:
            raise SettingError(f"{name} has no adapter: give one of the model that it was made for")
        codec, language = _RANDOM[name]
        lm = _empty_lm(_saying(codebooks, language()), device, dtype, weights)
        randomise(lm)
        listens, tts = lm.config.depformer is None, _RANDOM_TTS.get(name)
        return Model(
            name,
            _random_mimi(codec(), device),
            lm,
            NumberTokenizer(lm.config.silent_text),
            _usual_sampling(listens, tts),
            _RANDOM_STT if listens else None,
            personas=name == _RANDOM_PERSONAPLEX,
            tts=tts,
        )
    _refuse_unknown_random(name)
    files = locate(name)
    tts = tts_config(files.tts, files.model_id) if files.tts else None
    config = _saying(codebooks, _lm_config(files))
    stt = stt_config(files.stt) if files.stt else None
    personas = files.model_type == PERSONAPLEX
    tokenizer = SentencePieceTokenizer(files.tokenizer(), config.silent_text)
    if tts is not None and tokenizer.size > config.text_card:
        raise CheckpointError(
            f"{files.tokenizer()}: {tokenizer.size} pieces, and the model reads {config.text_card}; take the "
            "tokenizer that belongs to it"
        )
    if config.quantize and weights == "fp8":
        raise SettingError(f"{_title(name)} has int8 weights; take exact or int8 for it, not fp8")
    adapter = own_lora(files) if lora is None else locate_lora(lora)
    if config.quantize and adapter is not None:
        raise SettingError(
            f"{_title(name)} has int8 weights, and no adapter can be fused into them; take the checkpoint "
            "that it was made from, with --weights int8"
        )
    mimi = _mimi(files, device)
    lm = _empty_lm(config, device, dtype, weights)
    path = files.lm()
    entries = personaplex_entries(lm, path) if personas else lm_entries(lm)
    fill(lm, entries, path, unused=lm_unused(lm), lora=adapter)
    sampling = _sampling(files.lm_gen, _usual_sampling(stt is not None, tts))
    title = _title(name) if lora is None else f"{_title(name)}+{_title(lora)}"
    return Model(title, mimi, lm, tokenizer, sampling, stt, personas, tts)


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
        codec = mimi_config(files.mimi_config, files.model_type)
        language = _lm_config(files)
    nowhere = torch.device("meta")
    return _empty_mimi(codec, nowhere), _empty_lm(language, nowhere, dtype, weights)


def load_mimi(name: str, device: torch.device) -> Mimi:
    """The codec alone, of the same checkpoints as `load`. Raises `CheckpointError`."""
    if name in _RANDOM:
        return _random_mimi(_RANDOM[name][0](), device)
    _refuse_unknown_random(name)
    return _mimi(locate(name), device)


def _lm_config(files: Files) -> LMConfig:
    if files.tts:
        return tts_lm_config(files.config, tts_config(files.tts, files.model_id))
    return lm_config(files.config, files.model_type)


def _saying(codebooks: int | None, config: LMConfig) -> LMConfig:
    return config if codebooks is None else config.running(codebooks)


def _usual_sampling(listens: bool, tts: TtsConfig | None) -> Sampling:
    if tts is not None:
        return _READING
    return _GREEDY if listens else Sampling()


def _empty_lm(config: LMConfig, device: torch.device, dtype: torch.dtype, weights: WeightPrecision) -> LM:
    with torch.device("meta"):
        lm = LM(config, weights)
    allocate(lm, device, dtype)
    if lm.conditions is not None:
        allocate(lm.conditions, device, torch.float32)
    return lm


def _empty_mimi(config: MimiConfig, device: torch.device) -> Mimi:
    with torch.device("meta"):
        mimi = Mimi(config)
    allocate(mimi, device, torch.float32)
    return mimi


def _mimi(files: Files, device: torch.device) -> Mimi:
    config = mimi_config(files.mimi_config, files.model_type)
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
    """What clients are told: of what is here its own name, for its path is nobody else's business."""
    path = Path(name).expanduser()
    return path.resolve().name if path.exists() else name


def _refuse_unknown_random(name: str) -> None:
    if name.startswith("random:"):
        raise CheckpointError(f"no checkpoint '{name}': random weights come as {' or '.join(_RANDOM)}")


def _sampling(lm_gen: Mapping[str, Any], default: Sampling) -> Sampling:
    keys = Keys("config.json: lm_gen_config", lm_gen)
    return Sampling(
        temperature=keys.number("temp", default.temperature),
        top_k=int(keys.number("top_k", default.top_k)),
        temperature_text=keys.number("temp_text", default.temperature_text),
        top_k_text=int(keys.number("top_k_text", default.top_k_text)),
    )
