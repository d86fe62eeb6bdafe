"""The official configuration files, read strictly."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from engine.checkpoint.config_keys import Keys
from engine.errors import CheckpointError
from engine.models.config import (
    DepformerConfig,
    LMConfig,
    MimiConfig,
    QuantizerConfig,
    SeanetConfig,
    SttConfig,
    TransformerConfig,
)

PERSONAPLEX = "personaplex"
"""The `model_type` of models that take a voice and a role."""


def mimi_config(raw: Mapping[str, Any] | None, model_type: str = "moshi") -> MimiConfig:
    """From the structure that the reference's `get_mimi` takes; None is the official codec.

    Raises `CheckpointError` for what we cannot run.
    """
    config = MimiConfig.official() if raw is None else _read_mimi(raw)
    return replace(config, transformer=_seen_by(config.transformer, model_type))


def lm_config(raw: Mapping[str, Any] | None, model_type: str = "moshi") -> LMConfig:
    """From the keyword arguments of the reference's `LMModel`; None is Moshi 7B.

    Raises `CheckpointError` for what we cannot run.
    """
    config = LMConfig.moshi_7b() if raw is None else _read_lm(raw)
    if model_type != PERSONAPLEX:
        return config
    transformer = _seen_by(config.transformer, model_type)
    # What its later steps would say is heard.
    return replace(config, transformer=transformer).trained_for(min(config.own_codebooks, config.n_q // 2))


def _seen_by(transformer: TransformerConfig, model_type: str) -> TransformerConfig:
    """PersonaPlex's own code masks the oldest key of a full ring, in the codec as well."""
    if model_type != PERSONAPLEX:
        return transformer
    return replace(transformer, context=transformer.context - 1)


def stt_config(raw: Mapping[str, Any]) -> SttConfig:
    """From the `stt_config` of a model that only listens. Raises `CheckpointError`."""
    keys = Keys("config.json: stt_config", raw)
    config = SttConfig(keys.number("audio_delay_seconds"), keys.number("audio_silence_prefix_seconds", 0.0))
    keys.finish()
    return config


Config = TypeVar("Config")


def values_checked(read: Callable[[Mapping[str, Any]], Config]) -> Callable[[Mapping[str, Any]], Config]:
    """`read`, which for a value of another type than it should be raises `CheckpointError` too."""

    @functools.wraps(read)
    def checked(raw: Mapping[str, Any]) -> Config:
        try:
            return read(raw)
        except (TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"configuration: a value is not what it should be ({error})") from None

    return checked


@values_checked
def _read_mimi(raw: Mapping[str, Any]) -> MimiConfig:
    top = Keys("mimi_config", raw)
    top.must_be("channels", 1)
    seanet = Keys("mimi_config.seanet", top.need("seanet"))
    fixed = {"channels": 1, "causal": True, "n_residual_layers": 1, "activation": "ELU", "norm": "none",
             "pad_mode": "constant", "true_skip": True}  # fmt: skip
    for key, value in fixed.items():
        seanet.must_be(key, value)
    # Only later residual layers are dilated, and norms are folded into the released weights.
    seanet.ignore("dilation_base", "disable_norm_outer_blocks", "activation_params", "norm_params")
    seanet_config = SeanetConfig(
        **{f.name: seanet.take(f.name, f.default) for f in fields(SeanetConfig) if f.name != "ratios"},
        ratios=tuple(seanet.take("ratios", SeanetConfig().ratios)),
    )
    seanet.finish()
    quantizer = Keys("mimi_config.quantizer", top.need("quantizer"))
    for side in ("input_dimension", "output_dimension"):
        quantizer.must_be(side, seanet_config.dimension)
    quantizer_config = QuantizerConfig(
        **{f.name: quantizer.take(f.name, f.default) for f in fields(QuantizerConfig)}
    )
    quantizer.finish()
    transformer = Keys("mimi_config.transformer", top.need("transformer"))
    transformer.must_be("input_dimension", seanet_config.dimension)
    transformer.must_be("output_dimensions", [seanet_config.dimension])
    transformer.must_be("d_model", seanet_config.dimension)
    transformer.must_be("conv_layout", True)
    transformer_config = _transformer(
        transformer, seanet_config.dimension, transformer.take("dim_feedforward", 2048)
    )
    transformer.finish()
    sample_rate, frame_rate = top.take("sample_rate", 24_000), top.take("frame_rate", 12.5)
    config = MimiConfig(sample_rate, frame_rate, seanet_config, quantizer_config, transformer_config)
    top.finish()
    if config.frame_samples % seanet_config.hop:
        raise CheckpointError(
            f"mimi_config: a frame of {config.frame_samples} samples is no multiple of what the ratios "
            f"give, {seanet_config.hop}"
        )
    return config


@values_checked
def _read_lm(raw: Mapping[str, Any]) -> LMConfig:
    keys = Keys("config.json", raw)
    _refuse_conditions(keys)
    keys.must_be("causal", True)
    keys.must_be("same_initial", False)
    keys.ignore("gradient_checkpointing", "checkpointing", "betas", "depformer_causal", "depformer_context")
    dim = keys.need("dim")
    hidden_scale = keys.take("hidden_scale", 4)
    transformer = _transformer(keys, dim, int(hidden_scale * dim))
    text_card = keys.take("text_card", 32_000)
    text_card_out = keys.take("text_card_out", None)
    steps = keys.take("dep_q", 8)
    depformer = _depformer(keys, transformer, steps, hidden_scale)
    demux = keys.take("demux_second_stream", None)
    config = LMConfig(
        transformer=transformer,
        depformer=depformer,
        delays=tuple(keys.need("delays")),
        n_q=keys.take("n_q", 8),
        card=keys.take("card", 1024),
        text_card=text_card,
        text_card_out=text_card if text_card_out is None else text_card_out,
        text_padding_id=keys.take("existing_text_padding_id", 3),
        text_end_padding_id=keys.take("existing_text_end_padding_id", 0),
        norm_emb=keys.take("norm_emb", False),
        bias_proj=keys.take("bias_proj", False),
        demux_text=keys.take("demux_second_text_stream", False) if demux is None else demux,
        extra_heads=keys.take("extra_heads_num_heads", 0),
        extra_heads_dim=keys.take("extra_heads_dim", 6),
        quantize=keys.take("quantize", False),
    )
    keys.finish()
    return config


def _transformer(keys: Keys, dim: int, feedforward: int) -> TransformerConfig:
    keys.must_be("causal", True)
    context = keys.take("context", None)
    if context is None:
        raise CheckpointError("config: 'context' is missing; without it the state of a session has no size")
    return TransformerConfig(
        dim=dim,
        heads=keys.take("num_heads", 8),
        layers=keys.need("num_layers"),
        feedforward=feedforward,
        context=context,
        norm=keys.take("norm", "layer_norm"),
        gating=keys.take("gating", "none"),
        layer_scale=keys.take("layer_scale", None) is not None,
        positions=keys.take("positional_embedding", "sin"),
        max_period=keys.take("max_period", 10_000),
        position_scale=keys.take("positional_scale", 1.0),
        kv_repeat=keys.take("kv_repeat", 1),
    )


def _depformer(
    keys: Keys, main: TransformerConfig, steps: int, hidden_scale: float
) -> DepformerConfig | None:
    dim = keys.take("depformer_dim", 256)
    schedule = keys.take("depformer_weights_per_step_schedule", None)
    multi_linear = keys.take("depformer_multi_linear", False)
    per_step = keys.take("depformer_weights_per_step", False)
    feedforward = keys.take("depformer_dim_feedforward", None)
    low_rank = keys.take("depformer_low_rank_embeddings", None)
    head_norm = keys.take("depformer_norm", None)
    positions = keys.take("depformer_pos_emb", "sin")
    heads = keys.take("depformer_num_heads", None)
    # What is not said of the depformer is as in the main transformer.
    layers = keys.take("depformer_num_layers", main.layers)
    gating = keys.take("depformer_gating", main.gating)
    layer_scale = keys.take("depformer_layer_scale", "as main")
    max_period = keys.take("depformer_max_period", main.max_period)
    position_scale = keys.take("depformer_positional_scale", main.position_scale)
    kv_repeat = keys.take("depformer_kv_repeat", main.kv_repeat)
    if steps == 0:
        return None
    if not per_step:
        raise CheckpointError(
            "config.json: 'depformer_weights_per_step' must be true: nothing else can stream"
        )
    if heads is None:
        raise CheckpointError("config.json: key 'depformer_num_heads' is missing; take the original file")
    schedule = tuple(schedule) if schedule else tuple(range(steps))
    if feedforward is None:
        feedforward = int(hidden_scale * dim)
    if isinstance(feedforward, int):
        feedforward = [feedforward] * (max(schedule) + 1)
    return DepformerConfig(
        dim=dim,
        heads=heads,
        layers=layers,
        feedforward=tuple(feedforward),
        steps=steps,
        run=steps,
        schedule=schedule,
        multi_linear=multi_linear,
        low_rank=low_rank,
        norm=main.norm,
        head_norm=head_norm,
        gating=gating,
        layer_scale=main.layer_scale if layer_scale == "as main" else layer_scale is not None,
        positions=positions,
        max_period=max_period,
        position_scale=position_scale,
        kv_repeat=kv_repeat,
    )


def _refuse_conditions(keys: Keys) -> None:
    fuser = keys.take("fuser", None) or {}
    fused = [name for method in ("sum", "cross", "prepend") for name in fuser.get(method, [])]
    conditioners = keys.take("conditioners", None)
    if keys.take("cross_attention", False) or fused or conditioners:
        names = ", ".join(sorted(set(fused) | set(conditioners or ()))) or "cross_attention"
        raise CheckpointError(
            f"config.json: this model is conditioned ({names}), which this engine cannot run; "
            "use a model without conditioners, such as kyutai/moshiko-pytorch-bf16"
        )
