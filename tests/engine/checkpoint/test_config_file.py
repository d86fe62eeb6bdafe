import re

import pytest

from engine.checkpoint.config_file import lm_config, mimi_config, stt_config
from engine.errors import CheckpointError
from engine.models.config import LMConfig, MimiConfig, SttConfig


def test_without_a_configuration_everything_is_as_released() -> None:
    assert lm_config(None) == LMConfig.moshi_7b()
    assert mimi_config(None) == MimiConfig.official()
    assert (MimiConfig.official().frame_samples, MimiConfig.official().downsampling) == (1920, 2)


def test_personaplex_says_8_codebooks_and_sees_one_position_less() -> None:
    config = lm_config(None, "personaplex")
    assert config.transformer.context == 2999
    assert (config.own_codebooks, config.heard_codebooks, config.steps_trained) == (8, 8, 8)


def test_personaplex_with_all_its_steps_is_half_of_them() -> None:
    raw = {
        "dim": 64, "num_heads": 4, "num_layers": 2, "context": 20, "n_q": 16, "dep_q": 16, "delays": [0] * 17,
        "depformer_num_heads": 4, "depformer_weights_per_step": True, "gating": "silu",
    }  # fmt: skip
    config = lm_config(raw, "personaplex")
    assert (config.own_codebooks, config.heard_codebooks, config.steps_trained) == (8, 8, 8)


def test_what_is_not_said_of_the_depformer_is_as_in_the_main_transformer() -> None:
    raw = {
        "dim": 64, "num_heads": 4, "num_layers": 3, "context": 20, "n_q": 8, "dep_q": 8, "delays": [0] * 9,
        "depformer_num_heads": 4, "depformer_weights_per_step": True, "gating": "gelu", "kv_repeat": 2,
        "norm": "rms_norm", "max_period": 77, "layer_scale": 0.1, "depformer_dim": 32, "hidden_scale": 3,
    }  # fmt: skip
    depformer = lm_config(raw).depformer
    assert depformer is not None
    assert (depformer.layers, depformer.gating, depformer.norm, depformer.kv_repeat) == (
        3,
        "gelu",
        "rms_norm",
        2,
    )
    assert (depformer.max_period, depformer.layer_scale, depformer.positions) == (77, True, "sin")
    assert depformer.feedforward == (96,) * 8


def test_speech_to_text_tells_how_late_its_words_are() -> None:
    raw = {"audio_delay_seconds": 2.5, "audio_silence_prefix_seconds": 1.0}
    assert stt_config(raw) == SttConfig(delay_s=2.5, prefix_s=1.0)
    assert stt_config({"audio_delay_seconds": 0.5}) == SttConfig(delay_s=0.5, prefix_s=0.0)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"audio_silence_prefix_seconds": 1.0}, "key 'audio_delay_seconds' is missing"),
        ({"audio_delay_seconds": "2.5"}, "'audio_delay_seconds' is '2.5'; give a number from 0 up"),
        ({"audio_delay_seconds": -1}, "'audio_delay_seconds' is -1; give a number from 0 up"),
        (
            {"audio_delay_seconds": 1, "audio_delay_second": 2},
            "unknown key 'audio_delay_second'; did you mean 'audio_delay_seconds'?",
        ),
        ([], "expected an object with keys"),
    ],
)
def test_what_is_wrong_with_it_is_said(raw: dict[str, object], said: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"config.json: stt_config: {said}")) as error:
        stt_config(raw)
    assert "\n" not in str(error.value)
