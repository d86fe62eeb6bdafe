"""Every member of the family that the configuration alone decides, against the reference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.checkpoint.config_file import lm_config
from engine.checkpoint.names import lm_entries
from engine.checkpoint.weights import allocate, fill
from engine.models.lm import LM
from engine.step.moshi_step import MoshiStep
from tests.parity.reference import (
    LM_KWARGS,
    assert_close,
    our_lm,
    our_mimi,
    reference_lm,
    reference_mimi,
    sound,
)
from tests.parity.test_lm import ready
from tests.parity.test_step import FRAMES, Models, assert_same, join, run

STT: dict[str, Any] = {
    "n_q": 16, "dep_q": 0, "delays": [0] * 17, "extra_heads_num_heads": 4, "extra_heads_dim": 6,
    "max_period": 100_000.0,
    "depformer_multi_linear": False, "conditioners": {}, "cross_attention": False,
    "fuser": {"sum": [], "cross": [], "prepend": []},
}  # fmt: skip
TTS: dict[str, Any] = {
    "n_q": 8, "dep_q": 8, "delays": [0, 0, 2, 2, 2, 2, 2, 2, 2], "text_card_out": 20,
    "demux_second_stream": True,
    "depformer_low_rank_embeddings": 8, "depformer_weights_per_step_schedule": [0, 1, 2, 2, 2, 3, 3, 3],
    "depformer_dim_feedforward": [132, 96, 132, 60], "depformer_num_layers": 3,
}  # fmt: skip

VARIANTS: dict[str, dict[str, Any]] = {
    "tts": TTS,
    "keys shared by heads": {"kv_repeat": 2},
    "layer norm and scales": {
        "norm": "layer_norm",
        "layer_scale": 0.1,
        "depformer_layer_scale": 0.1,
        "gating": "none",
        "depformer_gating": "gelu",
    },
    "float32 layer norm, sines": {
        "norm": "layer_norm_f32",
        "positional_embedding": "sin",
        "positional_scale": 0.5,
    },
    "sines and rotations": {"positional_embedding": "sin_rope", "depformer_pos_emb": "sin_rope"},
    "rotations by halves": {
        "positional_embedding": "rope_concat",
        "depformer_pos_emb": "rope_concat",
        "norm": "rms_norm",
    },
    "rotations in the depformer": {"depformer_pos_emb": "rope", "depformer_max_period": 50},
    "one way into the depformer": {"depformer_multi_linear": False, "depformer_norm": "rms_norm_f32"},
    "normalised embeddings, biases": {
        "norm_emb": True,
        "bias_proj": True,
        "depformer_low_rank_embeddings": 8,
    },
    "feed-forward of four": {"hidden_scale": 4, "depformer_dim_feedforward": None},
    "other gates": {"gating": "sigmoid", "depformer_gating": "tanh"},
}


def tokens_for(lm: LM, batch: int, steps: int) -> Tensor:
    config = lm.config
    generator = torch.Generator().manual_seed(0)
    entries = config.text_card + 1
    highest = entries * (entries + 1) if config.demux_text else entries
    text = torch.randint(-1, highest, (batch, 1, steps), generator=generator)
    codes = torch.randint(-1, config.card + 1, (batch, config.n_q, steps), generator=generator)
    return torch.cat([text, codes], dim=1)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_a_variant_agrees_in_both_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    reference = reference_lm(seed=2, **changes)
    lm = our_lm(reference.state_dict(), tmp_path, **changes)
    state, slots = ready(lm, 2), torch.arange(2)
    tokens = tokens_for(lm, 2, 25)
    with reference.streaming(2):
        for t in range(25):
            expected, expected_logits = reference.forward_text(tokens[:, :, t : t + 1])
            hidden, logits = lm(tokens[:, :, t : t + 1], state, slots)
            assert_close(hidden, expected)
            assert_close(logits, expected_logits[:, 0])
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 32, (2, 8), generator=generator)
    text = tokens[:, 0, -1].clamp(min=0)
    offered: list[Tensor] = []

    def pick(codebook: int, logits: Tensor) -> Tensor:
        offered.append(logits)
        return codes[:, codebook]

    assert lm.depformer is not None
    lm.depformer(hidden[:, 0], text, pick)
    with reference.depformer.streaming(2):
        for step in range(8):
            before = text if step == 0 else codes[:, step - 1]
            logits = reference.forward_depformer(step, before[:, None, None], expected)
            assert_close(offered[step], logits[:, 0, 0])


@torch.no_grad()
def test_speech_to_text_agrees_with_its_extra_heads(tmp_path: Path) -> None:
    reference = reference_lm(seed=4, **{k: v for k, v in STT.items() if k not in ("conditioners", "fuser")})
    weights = reference.state_dict()
    assert "depformer_in.0.weight" in weights
    lm = our_lm(weights, tmp_path, **STT)
    assert lm.depformer is None
    state, slots = ready(lm, 2), torch.arange(2)
    tokens = tokens_for(lm, 2, 25)
    with reference.streaming(2):
        for t in range(25):
            expected, expected_logits = reference.forward_text(tokens[:, :, t : t + 1])
            hidden, logits = lm(tokens[:, :, t : t + 1], state, slots)
            assert_close(logits, expected_logits[:, 0])
            voice = [head(expected).softmax(dim=-1) for head in reference.extra_heads]
            assert_close(lm.extra_probabilities(hidden), torch.stack(voice, dim=2))


def test_personaplex_says_the_same_with_half_of_its_codebooks(tmp_path: Path) -> None:
    """What the later steps of the depformer would say is heard instead, so that they cannot matter."""
    sixteen = reference_lm(seed=5, dep_q=16)
    weights = sixteen.state_dict()
    eight = reference_lm(seed=6, dep_q=8)
    eight.load_state_dict({key: weights[key] for key in eight.state_dict()})
    our_lm(weights, tmp_path, dep_q=16)
    lm = LM(lm_config(LM_KWARGS | {"dep_q": 16}).running(8))
    allocate(lm, torch.device("cpu"), torch.float32)
    fill(lm, lm_entries(lm), tmp_path / "model.safetensors")
    assert (lm.config.own_codebooks, lm.config.heard_codebooks) == (8, 8)
    mimi = reference_mimi(seed=1)
    models = Models(eight, mimi, lm, our_mimi(mimi.state_dict(), tmp_path))
    step = MoshiStep(models.mimi, lm, 1)
    join(step, 0)
    frames = sound(1, FRAMES, seed=7)
    answers = [run(step, [0], frame)[0] for frame in frames]
    assert_same(answers, models.alone(frames[:, 0], use_sampling=False))
