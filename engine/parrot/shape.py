"""The sizes of both networks, and the two configuration files that announce them to a loader."""

from typing import Any

from engine.parrot.carriers import CARRIERS

FILTERS = 16
LATENT = 2 * CARRIERS + 2
MIMI_FFN = 640
CODE_DIM = 112
CODEBOOKS = 8
CARD_BITS = 10
CARD = 1 << CARD_BITS

LM_DIM = 176
LM_HEADS = 4
LM_LAYERS = 2
LM_CONTEXT = 64
DEPFORMER_DIM = 32
DEPFORMER_FFN = 48
TEXT_CARD = 64
ROPE_PERIOD = 10_000

RATIOS = (8, 6, 5, 4)


def mimi_config() -> dict[str, Any]:
    """What mimi_config.json holds: the structure of the reference loader's own Mimi configuration."""
    return {
        "sample_rate": 24_000,
        "channels": 1,
        "frame_rate": 12.5,
        "seanet": {
            "channels": 1,
            "dimension": LATENT,
            "causal": True,
            "n_filters": FILTERS,
            "n_residual_layers": 1,
            "activation": "ELU",
            "compress": 2,
            "dilation_base": 2,
            "disable_norm_outer_blocks": 0,
            "kernel_size": 7,
            "residual_kernel_size": 3,
            "last_kernel_size": 3,
            "norm": "none",
            "pad_mode": "constant",
            "ratios": list(RATIOS),
            "true_skip": True,
        },
        "quantizer": {
            "dimension": CODE_DIM,
            "n_q": CODEBOOKS,
            "bins": CARD,
            "input_dimension": LATENT,
            "output_dimension": LATENT,
        },
        "transformer": {
            "d_model": LATENT,
            "num_heads": 4,
            "num_layers": 2,
            "causal": True,
            "layer_scale": 1.0,
            "context": 50,
            "conv_layout": True,
            "max_period": ROPE_PERIOD,
            "gating": "none",
            "norm": "layer_norm",
            "positional_embedding": "rope",
            "dim_feedforward": MIMI_FFN,
            "input_dimension": LATENT,
            "output_dimensions": [LATENT],
        },
    }


def lm_config() -> dict[str, Any]:
    """The language model's part of config.json: the keywords that the reference gives to its `LMModel`."""
    return {
        "dim": LM_DIM,
        "text_card": TEXT_CARD,
        "existing_text_padding_id": 3,
        "n_q": 2 * CODEBOOKS,
        "dep_q": CODEBOOKS,
        "card": CARD,
        "num_heads": LM_HEADS,
        "num_layers": LM_LAYERS,
        "hidden_scale": 1.0,
        "causal": True,
        "layer_scale": None,
        "context": LM_CONTEXT,
        "max_period": ROPE_PERIOD,
        "gating": "silu",
        "norm": "rms_norm_f32",
        "positional_embedding": "rope",
        "depformer_dim": DEPFORMER_DIM,
        "depformer_dim_feedforward": DEPFORMER_FFN,
        "depformer_num_heads": 4,
        "depformer_num_layers": 1,
        "depformer_layer_scale": None,
        "depformer_multi_linear": True,
        "depformer_context": 8,
        "depformer_max_period": ROPE_PERIOD,
        "depformer_gating": "silu",
        "depformer_pos_emb": "none",
        "depformer_weights_per_step": True,
        "delays": [0] + 2 * [0, 1, 1, 1, 1, 1, 1, 1],
    }
