"""The configuration of text to speech: what it says, and what of it cannot be run."""

from copy import deepcopy
from typing import Any

import pytest

from engine.checkpoint.config_tts import tts_config, tts_lm_config
from engine.errors import CheckpointError
from engine.models.config import ConditionsConfig, TtsConfig, ValueConfig

TTS = TtsConfig(16, 2)
LM: dict[str, Any] = {
    "dim": 64, "text_card": 50, "n_q": 8, "dep_q": 8, "card": 32, "num_heads": 4, "num_layers": 2,
    "context": 20, "gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope",
    "depformer_dim": 32, "depformer_num_heads": 4, "depformer_num_layers": 2, "depformer_pos_emb": "none",
    "depformer_weights_per_step": True, "depformer_multi_linear": True, "delays": [0, 0, *[2] * 7],
    "demux_second_stream": True, "cross_attention": True,
    "conditioners": {
        "speaker_wavs": {"type": "tensor", "tensor": {"dim": 512}},
        "cfg": {"type": "lut", "lut": {"n_bins": 3, "dim": 16, "tokenizer": "noop",
                                       "possible_values": ["1.0", "2.0"]}},
    },
    "fuser": {"cross_attention_pos_emb": True, "cross_attention_pos_emb_scale": 0.5, "sum": ["cfg"],
              "prepend": [], "cross": ["speaker_wavs"]},
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    raw = deepcopy(LM)
    *parents, key = path.split(".")
    place = raw
    for parent in parents:
        place = place[parent]
    place[key] = value
    return raw


def test_conditions_are_read() -> None:
    config = tts_lm_config(LM, TTS)
    assert config.conditions == ConditionsConfig(
        (ValueConfig("cfg", 16, 3, ("1.0", "2.0")),), "speaker_wavs", 512, 0.5
    )
    assert config.transformer.cross_attention
    without = tts_lm_config(changed("fuser.cross_attention_pos_emb", False), TTS)
    assert without.conditions is not None
    assert without.conditions.position_scale == 0.0


def test_delay_and_marks_are_read() -> None:
    raw, identity = {"audio_delay": 1.28, "second_stream_ahead": 2}, {"sig": "1e68beda", "epoch": 240}
    assert tts_config(raw, identity) == TtsConfig(16, 2, "1e68beda@240")
    assert tts_config({"audio_delay": 1}, {}) == TtsConfig(12)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({}, "'audio_delay' is missing"),
        ({"audio_delay": "long"}, "'audio_delay' is 'long'; give a number"),
        ({"audio_delay": 1, "multistream": True}, "'multistream' is True"),
        ({"audio_delay": 1, "second_stream_behind": 1}, "unknown key 'second_stream_behind'; did you mean"),
    ],
)
def test_what_of_the_figure_cannot_be_run(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=f"config.json: tts_config: .*{complaint}"):
        tts_config(raw, {})


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("cross_attention", False, "without attending to a voice"),
        ("conditioners", {}, "the conditioners are none; this engine runs"),
        ("fuser.sum", [], "the conditioners are cfg, speaker_wavs; this engine runs"),
        ("fuser.cross", ["speaker_wavs", "cfg"], "this engine runs"),
        ("fuser.prepend", ["cfg"], "'prepend'"),
        ("fuser.average", ["cfg"], "unknown key 'average'"),
        ("conditioners.cfg.type", "tensor", "conditioner 'cfg': 'type' is 'tensor'"),
        ("conditioners.cfg.lut.tokenizer", "words", "'tokenizer' is 'words'"),
        ("conditioners.cfg.lut.possible_values", None, "0 'possible_values'"),
        ("conditioners.cfg.lut.n_bins", 1, "2 'possible_values' and 1 'n_bins'"),
        ("conditioners.cfg.lut.learn_padding", False, "'learn_padding' is False"),
        ("conditioners.speaker_wavs", {}, "conditioner 'speaker_wavs': key 'tensor' is missing"),
        ("conditioners.speaker_wavs.tensor.dim", "wide", "a value is not what it should be"),
        ("conditioners", 5, "a value is not what it should be"),
        ("kv_repeat", 2, "'kv_repeat' can only be 1"),
        ("quantize", True, "8-bit files of a model with cross-attention"),
        ("demux_second_stream", False, "contradict each other"),
    ],
)
def test_what_of_the_conditions_cannot_be_run(path: str, value: Any, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        tts_lm_config(changed(path, value), TTS)
