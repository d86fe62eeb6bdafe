"""The configuration of models that read text aloud: what theirs have beside the shapes of all."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.checkpoint.config_file import lm_config, values_checked
from engine.checkpoint.config_keys import Keys
from engine.errors import CheckpointError
from engine.models.config import ConditionsConfig, LMConfig, TtsConfig, ValueConfig

_FRAME_RATE = 12.5
_OF_CONDITIONS = ("conditioners", "fuser", "cross_attention")


def tts_config(raw: Mapping[str, Any], model_id: Mapping[str, Any]) -> TtsConfig:
    """From the `tts_config` and the `model_id` of a model. Raises `CheckpointError`."""
    keys = Keys("config.json: tts_config", raw)
    keys.must_be("multistream", False)
    delay = int(keys.number("audio_delay") * _FRAME_RATE)
    config = TtsConfig(delay, int(keys.number("second_stream_ahead", 0)), _tag(model_id))
    keys.finish()
    return config


def _tag(model_id: Mapping[str, Any]) -> str:
    if not isinstance(model_id, Mapping) or not {"sig", "epoch"} <= set(model_id):
        return ""
    return f"{model_id['sig']}@{model_id['epoch']}"


def tts_lm_config(raw: Mapping[str, Any] | None, tts: TtsConfig) -> LMConfig:
    """As `lm_config`, of a model with conditions and a voice. Raises `CheckpointError`."""
    raw = raw or {}
    conditions = _conditions({key: raw[key] for key in _OF_CONDITIONS if key in raw})
    config = lm_config({key: value for key, value in raw.items() if key not in _OF_CONDITIONS})
    if config.quantize:
        raise CheckpointError(
            "config.json: 'quantize' is true, and nothing reads 8-bit files of a model with cross-attention; "
            "take the checkpoint in 16 bits"
        )
    if config.demux_text != bool(tts.ahead):
        raise CheckpointError(
            "config.json: 'second_stream_ahead' and 'demux_second_stream' contradict each other; "
            "take the original file"
        )
    return replace(
        config, conditions=conditions, transformer=replace(config.transformer, cross_attention=True)
    )


@values_checked
def _conditions(raw: Mapping[str, Any]) -> ConditionsConfig:
    keys = Keys("config.json", raw)
    if not keys.take("cross_attention", False):
        raise CheckpointError(
            "config.json: this model reads aloud without attending to a voice ('cross_attention'), which "
            "this engine cannot run; take one such as kyutai/tts-1.6b-en_fr"
        )
    fuser = Keys("config.json: fuser", keys.need("fuser"))
    summed, crossed = list(fuser.take("sum", [])), list(fuser.take("cross", []))
    fuser.must_be("prepend", [])
    positions = fuser.take("cross_attention_pos_emb", False)
    scale = float(fuser.number("cross_attention_pos_emb_scale", 1.0)) if positions else 0.0
    fuser.ignore("cross_attention_pos_emb_scale")
    fuser.finish()
    given = keys.need("conditioners")
    if len(crossed) != 1 or sorted((*summed, *crossed)) != sorted(given):
        raise CheckpointError(
            f"config.json: the conditioners are {', '.join(sorted(given)) or 'none'}; this engine runs "
            "models with one under 'cross' of 'fuser' and all others under 'sum'"
        )
    voice = _kind(crossed[0], given[crossed[0]], "tensor")
    dim = int(voice.need("dim"))
    voice.finish()
    return ConditionsConfig(tuple(_value(name, given[name]) for name in summed), crossed[0], dim, scale)


def _value(name: str, raw: object) -> ValueConfig:
    keys = _kind(name, raw, "lut")
    keys.must_be("tokenizer", "noop")
    values = keys.need("possible_values")
    config = ValueConfig(name, int(keys.need("dim")), int(keys.need("n_bins")), tuple(map(str, values or ())))
    keys.ignore("init_scale")
    keys.finish()
    if not 0 < len(config.values) <= config.bins:
        raise CheckpointError(
            f"config.json: conditioner '{name}' has {len(config.values)} 'possible_values' and {config.bins} "
            "'n_bins'; this engine runs those that name their values"
        )
    return config


def _kind(name: str, raw: object, kind: str) -> Keys:
    """The own keys of conditioner `name`, which has to be of `kind`."""
    conditioner = Keys(f"config.json: conditioner '{name}'", raw)
    conditioner.must_be("type", kind)
    keys = Keys(f"config.json: conditioner '{name}'", conditioner.need(kind))
    conditioner.finish()
    for key, value in {"output_bias": False, "learn_padding": True}.items():
        keys.must_be(key, value)
    # The first two upstream sets itself, whatever a file says.
    keys.ignore("output_dim", "device", "force_linear", "pad_empty")
    return keys
