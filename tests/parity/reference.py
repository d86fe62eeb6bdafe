"""Tiny models of the reference with random weights, and ours with the same ones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint.config_file import lm_config, mimi_config
from engine.checkpoint.names import lm_entries, lm_unused, mimi_entries
from engine.checkpoint.weights import allocate, fill
from engine.models.lm import LM
from engine.models.mimi import Mimi

CPU = torch.device("cpu")

LM_KWARGS: dict[str, Any] = {
    "dim": 64, "text_card": 50, "existing_text_padding_id": 3, "n_q": 16, "dep_q": 8, "card": 32,
    "num_heads": 4, "num_layers": 2, "hidden_scale": 4.125, "causal": True, "context": 20,
    "layer_scale": None, "max_period": 10_000, "gating": "silu", "norm": "rms_norm_f32",
    "positional_embedding": "rope",
    "depformer_dim": 32, "depformer_dim_feedforward": 132, "depformer_num_heads": 4,
    "depformer_num_layers": 2,
    "depformer_layer_scale": None, "depformer_multi_linear": True, "depformer_context": 8,
    "depformer_max_period": 10_000, "depformer_gating": "silu", "depformer_pos_emb": "none",
    "depformer_weights_per_step": True, "delays": [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1],
}  # fmt: skip

MIMI_CONFIG: dict[str, Any] = {
    "sample_rate": 24_000, "channels": 1, "frame_rate": 12.5,
    "seanet": {
        "channels": 1, "dimension": 32, "causal": True, "n_filters": 4, "n_residual_layers": 1,
        "activation": "ELU",
        "compress": 2, "dilation_base": 2, "disable_norm_outer_blocks": 0, "kernel_size": 7,
        "residual_kernel_size": 3, "last_kernel_size": 3, "norm": "none", "pad_mode": "constant",
        "ratios": [8, 6, 5, 4], "true_skip": True,
    },
    "quantizer": {"dimension": 16, "n_q": 32, "bins": 32, "input_dimension": 32, "output_dimension": 32},
    "transformer": {
        "d_model": 32, "num_heads": 4, "num_layers": 2, "causal": True, "layer_scale": 0.3, "context": 10,
        "conv_layout": True, "max_period": 10_000, "gating": "none", "norm": "layer_norm",
        "positional_embedding": "rope", "dim_feedforward": 64, "input_dimension": 32,
        "output_dimensions": [32],
    },
}  # fmt: skip


def reference_lm(seed: int = 0, **changes: Any) -> Any:
    """The reference's `LMModel` of `LM_KWARGS` with `changes`, every weight random."""
    from moshi.models import loaders

    torch.manual_seed(seed)
    lm = loaders.get_moshi_lm(None, LM_KWARGS | changes, device="cpu", dtype=torch.float32)
    for name, parameter in lm.named_parameters():
        if "alpha" in name or (("norm" in name or "scale" in name) and not name.endswith("bias")):
            parameter.data.uniform_(0.5, 1.5)
        else:
            parameter.data.normal_(0, 1.5 / math.sqrt(parameter.shape[-1]))
    return lm


def reference_mimi(codebooks: int = 8, seed: int = 0, **transformer: Any) -> Any:
    """The reference's `MimiModel` of `MIMI_CONFIG`, with random codebooks as well."""
    from moshi.models import loaders

    torch.manual_seed(seed)
    config = MIMI_CONFIG | {"transformer": MIMI_CONFIG["transformer"] | transformer}
    mimi = loaders.get_mimi(None, config, num_codebooks=codebooks)
    for name, tensor in mimi.named_parameters():
        if "layer_scale" in name or "norm" in name:
            tensor.data.add_(torch.randn_like(tensor), alpha=0.1)
        elif tensor.dim() == 3:
            # The usual initialisation lets the signal fade until all frames get the same codes.
            tensor.data.normal_(0, 1.3 / math.sqrt(tensor.shape[1] * tensor.shape[2]))
    for module in mimi.modules():
        if type(module).__name__ == "EuclideanCodebook":
            module.embedding_sum.normal_(0, 1.0)
            module.cluster_usage.uniform_(0.5, 2)
            module._initialized.fill_(1)
    return mimi


def our_lm(
    weights: Mapping[str, Tensor], folder: Path, dtype: torch.dtype = torch.float32, **changes: Any
) -> LM:
    """Our model of the same configuration, filled from a file that holds `weights`."""
    path = folder / "model.safetensors"
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    with torch.device("meta"):
        lm = LM(lm_config(LM_KWARGS | changes))
    allocate(lm, CPU, dtype)
    fill(lm, lm_entries(lm), path, unused=lm_unused(lm))
    return lm


def our_mimi(weights: Mapping[str, Tensor], folder: Path, **transformer: Any) -> Mimi:
    """Our codec of the same configuration, filled from a file that holds `weights`."""
    path = folder / "tokenizer.safetensors"
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    with torch.device("meta"):
        mimi = Mimi(mimi_config(MIMI_CONFIG | {"transformer": MIMI_CONFIG["transformer"] | transformer}))
    allocate(mimi, CPU, torch.float32)
    fill(mimi, mimi_entries(mimi), path)
    return mimi


def sound(batch: int, frames: int, seed: int = 0) -> Tensor:
    """Noise whose level changes from frame to frame, float32 [frames, B, 1920]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(frames, batch, 1920, generator=generator)
    return noise * torch.rand(frames, batch, 1, generator=generator)


def assert_close(ours: Tensor, expected: Tensor) -> None:
    """Float32 rounding apart, relative to the largest value."""
    assert ours.shape == expected.shape
    difference = (ours - expected).abs().max().item()
    assert difference <= 1e-5 * max(1.0, expected.abs().max().item()), difference
