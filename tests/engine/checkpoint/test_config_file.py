from engine.checkpoint.config_file import lm_config, mimi_config
from engine.models.config import LMConfig, MimiConfig


def test_without_a_configuration_everything_is_as_released() -> None:
    assert lm_config(None) == LMConfig.moshi_7b()
    assert mimi_config(None) == MimiConfig.official()
    assert (MimiConfig.official().frame_samples, MimiConfig.official().downsampling) == (1920, 2)


def test_personaplex_says_8_codebooks_and_sees_one_position_less() -> None:
    config = lm_config(None, "personaplex")
    assert config.transformer.context == 2999
    assert (config.own_codebooks, config.heard_codebooks, config.steps_trained) == (8, 8, 8)


def test_personaplex_with_all_its_steps_runs_half_of_them() -> None:
    raw = {
        "dim": 64, "num_heads": 4, "num_layers": 2, "context": 20, "n_q": 16, "dep_q": 16, "delays": [0] * 17,
        "depformer_num_heads": 4, "depformer_weights_per_step": True, "gating": "silu",
    }  # fmt: skip
    config = lm_config(raw, "personaplex")
    assert (config.own_codebooks, config.heard_codebooks, config.steps_trained) == (8, 8, 16)


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
