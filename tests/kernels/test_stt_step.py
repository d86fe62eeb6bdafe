"""The step that only listens, all kernels and a row of padding included, against the plain one."""

from collections.abc import Callable

import numpy as np
import torch

from engine.checkpoint.random_weights import randomise
from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import INTERPRETED
from engine.models.config import LMConfig, TransformerConfig
from engine.models.lm import LM
from engine.step.cuda_graph import CudaGraphs
from engine.step.frames import Sampling
from engine.step.loop import StepOutput
from engine.step.stt_runner import SttGraphRunner, SttRunner
from engine.step.stt_step import SttStep
from tests.engine.step.plain_graphs import PlainGraphs
from tests.kernels.test_whole_step import mimi_of_one_layer

SLOTS = 4
# In a batch of four: a row of padding comes along.
LIVE = (3, 0, 1)
SOUND = np.random.default_rng(0).normal(0, 3000, (2, len(LIVE), 1920)).astype(np.int16)
GREEDY = Sampling(temperature=0.0, temperature_text=0.0)


def lm_of_one_layer() -> LM:
    temporal = TransformerConfig(
        dim=32, heads=2, layers=1, feedforward=132, context=2, norm="rms_norm_f32", gating="silu"
    )
    config = LMConfig(
        temporal, None, (0, 0, 0), n_q=2, card=32, text_card=64, text_card_out=64, extra_heads=4
    )
    lm = LM(config, weights="int8")
    randomise(lm)
    return lm


def run(make: Callable[[SttStep], SttRunner], device: torch.device) -> tuple[list[StepOutput], SttStep]:
    step = SttStep(mimi_of_one_layer().to(device), lm_of_one_layer().to(device), SLOTS)
    runner = make(step)
    runner.join(dict.fromkeys(LIVE, GREEDY))
    return [runner.step(LIVE, frame) for frame in SOUND], step


def test_a_padded_step_of_kernels_tells_what_the_plain_step_tells() -> None:
    device, cpu = torch.device("cpu" if INTERPRETED.value else "cuda"), torch.device("cpu")
    graphs = PlainGraphs() if INTERPRETED.value else CudaGraphs(device)
    with kernels_everywhere():
        answers, step = run(lambda step: SttGraphRunner(step, device, graphs), device)
    expected, _ = run(lambda step: SttRunner(step, cpu), cpu)
    for answer, plain in zip(answers, expected, strict=True):
        assert answer.text.tolist() == plain.text.tolist()
        assert answer.user_codes.tolist() == plain.user_codes.tolist()
        assert answer.pauses is not None
        assert plain.pauses is not None
        np.testing.assert_allclose(answer.pauses, plain.pauses, atol=1e-4)
        assert answer.pcm.shape == (len(LIVE), 0)
    assert len({token for answer in expected for token in answer.text.tolist()}) > 3
    # Nobody was in slot 2, whatever the row of padding did.
    assert step._tokens.offsets.tolist() == [3, 3, 0, 3]
