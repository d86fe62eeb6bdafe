"""The step that reads aloud, with all kernels, against the plain one."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch

from engine.checkpoint.random_weights import randomise
from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import INTERPRETED
from engine.models.config import (
    ConditionsConfig,
    DepformerConfig,
    LMConfig,
    TransformerConfig,
    ValueConfig,
)
from engine.models.lm import LM
from engine.step.frames import Sampling
from engine.step.tts_step import TtsOutput, TtsStep
from tests.kernels.test_whole_step import mimi_of_one_layer

LIVE = (2, 0)
VALUES = {"cfg": "2.0"}


def lm_of_one_layer() -> LM:
    temporal = TransformerConfig(
        dim=32,
        heads=2,
        layers=1,
        feedforward=132,
        context=3,
        norm="rms_norm_f32",
        gating="silu",
        cross_attention=True,
    )
    depformer = DepformerConfig(
        dim=16, heads=2, layers=1, feedforward=(66,) * 2, steps=2, run=2, schedule=(0, 1), low_rank=4
    )
    conditions = ConditionsConfig((ValueConfig("cfg", 4, 2, ("1.0", "2.0")),), "speaker_wavs", voice_dim=8)
    config = LMConfig(
        temporal,
        depformer,
        (0, 0, 1),
        n_q=2,
        card=32,
        text_card=16,
        text_card_out=5,
        demux_text=True,
        conditions=conditions,
    )
    lm = LM(config, weights="int8")
    randomise(lm)
    return lm


def run(device: torch.device) -> list[TtsOutput]:
    """Three steps, the last with sound, of sessions whose voices have several lengths."""
    step = TtsStep(mimi_of_one_layer().to(device), lm_of_one_layer().to(device), 3, delay=1, longest_voice=3)
    generator = torch.Generator().manual_seed(0)
    for slot in LIVE:
        voice = torch.randn(1 + slot, 8, generator=generator)
        step.join(slot, Sampling(seed=slot, temperature=0.9, top_k=9), voice, VALUES)

    def choose(predicted: Sequence[int]) -> list[int]:
        return [5 + 17 * (1 + token) for token in predicted]

    return [step(LIVE, choose) for _ in range(3)]


def test_a_step_of_kernels_says_what_the_plain_step_says() -> None:
    device = torch.device("cpu" if INTERPRETED.value else "cuda")
    with kernels_everywhere() if INTERPRETED.value else nullcontext():
        answers = run(device)
    expected = run(torch.device("cpu"))
    assert [answer.sounding for answer in answers] == [[False] * 2] * 2 + [[True] * 2]
    for answer, plain in zip(answers[1:], expected[1:], strict=True):
        assert answer.text.tolist() == plain.text.tolist()
        assert answer.codes.tolist() == plain.codes.tolist()
        torch.testing.assert_close(answer.pcm.cpu(), plain.pcm, atol=1e-4, rtol=1e-4)
    assert answers[-1].pcm.abs().max() > 0.01
    assert len(set(expected[-1].codes.flatten().tolist())) > 1
