"""The step as a GPU runs it, all kernels and rows of padding included, against the plain one."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from engine.checkpoint.random_weights import randomise
from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import INTERPRETED
from engine.models.config import (
    DepformerConfig,
    LMConfig,
    MimiConfig,
    QuantizerConfig,
    SeanetConfig,
    TransformerConfig,
)
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.cuda_graph import CudaGraphs
from engine.step.eager_runner import EagerRunner
from engine.step.frames import OwnFrame, Sampling
from engine.step.graph_runner import GraphRunner
from engine.step.moshi_step import MoshiStep
from engine.step.prefix import Prefix
from tests.engine.step.plain_graphs import PlainGraphs

SLOTS = 5
# Of which graphs are captured for 1, 2, 4 and 5: three sessions bring a row of padding along.
LIVE = (3, 0, 1)
SOUND = np.random.default_rng(0).normal(0, 3000, (2, len(LIVE), 1920)).astype(np.int16)
# In the first frame one of them is given its words.
OWN = ((None, OwnFrame(SOUND[1, 0], 7), None), ())


def mimi_of_one_layer() -> Mimi:
    transformer = TransformerConfig(dim=16, heads=2, layers=1, feedforward=32, context=3, layer_scale=True)
    # Two stages in the place of four: less to interpret.
    seanet = SeanetConfig(dimension=16, n_filters=2, ratios=(32, 30))
    quantizer = QuantizerConfig(dimension=8, n_q=2, bins=32)
    mimi = Mimi(MimiConfig(seanet=seanet, quantizer=quantizer, transformer=transformer))
    randomise(mimi)
    mimi.decoder.last.weight.mul_(0.05)
    return mimi


def lm_of_one_layer(context: int = 2) -> LM:
    temporal = TransformerConfig(
        dim=32, heads=2, layers=1, feedforward=132, context=context, norm="rms_norm_f32", gating="silu"
    )
    depformer = DepformerConfig(
        dim=16, heads=2, layers=1, feedforward=(66,) * 2, steps=2, run=2, schedule=(0, 1)
    )
    config = LMConfig(temporal, depformer, (0, 0, 1, 0, 1), n_q=4, card=32, text_card=64, text_card_out=64)
    # For float32 ones no kernel is better than torch.
    lm = LM(config, weights="int8")
    randomise(lm)
    return lm


class Run:
    """Sessions that join and step, and the state before and after the last of their steps."""

    def __init__(self, make: Callable[[MoshiStep], EagerRunner], device: torch.device) -> None:
        step = MoshiStep(mimi_of_one_layer().to(device), lm_of_one_layer().to(device), SLOTS, kv="int8")
        self.runner = make(step)
        self.state = list(step.state.tensors())
        self.runner.join({slot: Sampling(seed=slot, temperature=0.9, top_k=9) for slot in LIVE})
        self.answers = []
        for frame, own in zip(SOUND, OWN, strict=True):
            self.before = [tensor.clone() for tensor in self.state]
            self.answers.append(self.runner.step(LIVE, frame, own))
        self.after = [tensor.clone() for tensor in self.state]


@pytest.fixture(scope="module")
def kernels() -> Run:
    device = torch.device("cpu" if INTERPRETED.value else "cuda")
    graphs = PlainGraphs() if INTERPRETED.value else CudaGraphs(device)
    with kernels_everywhere():
        return Run(lambda step: GraphRunner(step, device, graphs), device)


def test_a_padded_step_of_kernels_says_what_the_plain_step_says(kernels: Run) -> None:
    cpu = torch.device("cpu")
    plain = Run(lambda step: EagerRunner(step, cpu), cpu)
    for answer, expected in zip(kernels.answers, plain.answers, strict=True):
        for name in ("text", "codes", "user_codes"):
            assert getattr(answer, name).tolist() == getattr(expected, name).tolist()
        # A GPU's decoder multiplies in TF32.
        assert abs(answer.pcm.astype(int) - expected.pcm).max() <= (2 if INTERPRETED.value else 100)
    assert plain.answers[0].text[1] == 7
    assert len({tuple(row) for answer in plain.answers for row in answer.codes.tolist()}) > 3
    assert max(abs(answer.pcm.astype(int)).max() for answer in plain.answers) > 500


def test_neither_padding_nor_a_step_touches_a_slot_that_is_not_due(kernels: Run) -> None:
    others = [slot for slot in range(SLOTS) if slot not in LIVE]
    for before, after in zip(kernels.before, kernels.after, strict=True):
        assert after[others].view(torch.uint8).equal(before[others].view(torch.uint8))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_neighbours_full_of_nan_change_no_bit_of_a_padded_step(kernels: Run) -> None:
    due = LIVE[1]
    for tensor, before in zip(kernels.state, kernels.before, strict=True):
        tensor.copy_(before)
        if tensor.is_floating_point():
            tensor[[slot for slot in range(SLOTS) if slot != due]] = float("nan")
    clean = kernels.answers[-1]
    with kernels_everywhere():
        poisoned = kernels.runner.step(LIVE, SOUND[-1])
    for name in ("pcm", "text", "codes", "user_codes"):
        assert getattr(poisoned, name)[1].tolist() == getattr(clean, name)[1].tolist()
    for tensor, after in zip(kernels.state, kernels.after, strict=True):
        assert tensor[due].equal(after[due])


def test_a_prefix_run_by_kernels_leaves_what_it_leaves_in_plain_pytorch(device: torch.device) -> None:
    prefix = Prefix(torch.randint(0, 32, (5, 6), generator=torch.Generator().manual_seed(0)).numpy())
    states = []
    for place, everywhere in ((torch.device("cpu"), nullcontext()), (device, kernels_everywhere())):
        step = MoshiStep(mimi_of_one_layer().to(place), lm_of_one_layer(context=16).to(place), SLOTS)
        step.join(3, Sampling(seed=1))
        with everywhere:
            step.prefill(3, prefix, range(3))
            step.prefill(3, prefix, range(3, 6))
        states.append([part.cpu() for part in (*step._lm_state.held(3), *step._tokens.held(3))])
    for plain, kernel in zip(*states, strict=True):
        torch.testing.assert_close(kernel, plain, rtol=1e-4, atol=1e-5)
