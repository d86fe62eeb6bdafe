"""The reference package at the same shapes, in a process of its own: the step without this engine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

from engine.bench.results import Peer, PeerLevel, Quantiles
from engine.models.config import LMConfig, MimiConfig, TransformerConfig

STEPS = 200
_LONGEST_S = 300.0


def measure_peer(
    lm: LMConfig,
    mimi: MimiConfig,
    sessions: Sequence[int],
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Peer:
    """Full steps of `moshi` with random weights of these shapes, at most 200 at each number of sessions.

    What it cannot do (more sessions than memory, no package, all of it within five minutes) is said in the
    result, beside what it could.
    """
    task = {
        "lm": lm_arguments(lm),
        "mimi": mimi_arguments(mimi),
        "codebooks": max(lm.own_codebooks, lm.heard_codebooks),
        "heard": lm.heard_codebooks,
        "sessions": list(sessions),
        "steps": min(steps, STEPS),
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    environment = dict(os.environ)
    if device.type == "cpu":
        # There it compiles for a minute and is no faster.
        environment["NO_TORCH_COMPILE"] = "1"
    command, error = [sys.executable, "-m", "engine.bench.peer_process"], None
    try:
        done = subprocess.run(
            command,
            input=json.dumps(task).encode(),
            stdout=subprocess.PIPE,
            env=environment,
            timeout=_LONGEST_S,
        )
        said = done.stdout
        if done.returncode:
            error = f"its process ended with status {done.returncode}"
    except subprocess.TimeoutExpired as late:
        said, error = late.stdout or b"", f"ended after {_LONGEST_S:g} s"
    # The last line may have been cut off.
    return _peer([json.loads(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n")], error)


def _peer(lines: list[dict[str, Any]], ended: str | None) -> Peer:
    name, error, levels = "moshi", None, []
    for line in lines:
        name, error = line.get("name", name), line.get("error", error)
        if "step" in line:
            levels.append(PeerLevel(line["sessions"], Quantiles(**line["step"])))
    return Peer(name, tuple(levels), error or ended)


def lm_arguments(config: LMConfig) -> dict[str, Any]:
    """`config` in the words of the reference's `LMModel`."""
    depformer = config.depformer
    assert depformer is not None, "a model that speaks"
    sets = depformer.schedule[: depformer.run]
    return {
        **_transformer(config.transformer),
        "dim": config.transformer.dim,
        # It takes the whole part of a product.
        "hidden_scale": (config.transformer.feedforward + 0.5) / config.transformer.dim,
        "delays": [config.delays[0], *config.delays[1:]],
        "n_q": config.n_q,
        "dep_q": depformer.run,
        "card": config.card,
        "text_card": config.text_card,
        "text_card_out": config.text_card_out,
        "existing_text_padding_id": config.text_padding_id,
        "norm_emb": config.norm_emb,
        "bias_proj": config.bias_proj,
        "demux_second_text_stream": config.demux_text,
        "depformer_dim": depformer.dim,
        "depformer_dim_feedforward": list(depformer.feedforward[: max(sets) + 1]),
        "depformer_num_heads": depformer.heads,
        "depformer_num_layers": depformer.layers,
        "depformer_layer_scale": 1.0 if depformer.layer_scale else None,
        "depformer_multi_linear": depformer.multi_linear,
        "depformer_low_rank_embeddings": depformer.low_rank,
        "depformer_context": depformer.run,
        "depformer_max_period": depformer.max_period,
        "depformer_gating": depformer.gating,
        "depformer_pos_emb": depformer.positions,
        "depformer_weights_per_step": True,
        "depformer_weights_per_step_schedule": list(sets),
    }


def mimi_arguments(config: MimiConfig) -> dict[str, Any]:
    """`config` in the words of the reference's `get_mimi`."""
    seanet, quantizer, dim = config.seanet, config.quantizer, config.seanet.dimension
    return {
        "sample_rate": config.sample_rate,
        "channels": 1,
        "frame_rate": config.frame_rate,
        "seanet": {
            "channels": 1,
            "dimension": dim,
            "causal": True,
            "n_filters": seanet.n_filters,
            "n_residual_layers": 1,
            "activation": "ELU",
            "compress": seanet.compress,
            "dilation_base": 2,
            "disable_norm_outer_blocks": 0,
            "kernel_size": seanet.kernel_size,
            "residual_kernel_size": seanet.residual_kernel_size,
            "last_kernel_size": seanet.last_kernel_size,
            "norm": "none",
            "pad_mode": "constant",
            "ratios": list(seanet.ratios),
            "true_skip": True,
        },
        "quantizer": {
            "dimension": quantizer.dimension,
            "n_q": quantizer.n_q,
            "bins": quantizer.bins,
            "input_dimension": dim,
            "output_dimension": dim,
        },
        "transformer": {
            **_transformer(config.transformer),
            "d_model": config.transformer.dim,
            "dim_feedforward": config.transformer.feedforward,
            "conv_layout": True,
            "input_dimension": dim,
            "output_dimensions": [dim],
        },
    }


def _transformer(config: TransformerConfig) -> dict[str, Any]:
    arguments = {
        "num_heads": config.heads,
        "num_layers": config.layers,
        "causal": True,
        "context": config.context,
        "layer_scale": 0.3 if config.layer_scale else None,
        "max_period": config.max_period,
        "gating": config.gating,
        "norm": config.norm,
        "positional_embedding": config.positions,
    }
    return arguments if config.kv_repeat == 1 else {**arguments, "kv_repeat": config.kv_repeat}
