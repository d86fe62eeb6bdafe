"""8-bit checkpoints: exact against the weights that they stand for, close to the reference's 8-bit
arithmetic.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.linear import Int8Linear
from tests.parity.reference import assert_close, our_lm, reference_lm
from tests.parity.test_lm import random_tokens, ready
from tests.parity.test_names import fused


def quantised(reference: nn.Module) -> dict[str, Tensor]:
    """A q8 file: each row of each linear layer in 127 steps of its largest magnitude."""
    state = dict(reference.state_dict())
    for name, module in reference.named_modules():
        if isinstance(module, nn.Linear):
            weight = module.weight.data.half().float()
            scale = weight.abs().amax(dim=1)
            state[f"{name}.weight"] = (weight * 127 / scale[:, None]).round().to(torch.int8)
            state[f"{name}.weight_scb"] = scale
    return state


def dequantised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    scales = {key.removesuffix("_scb"): value for key, value in state.items() if key.endswith("_scb")}
    return {
        key: value.float() * scales[key][:, None] / 127 if key in scales else value
        for key, value in state.items()
        if not key.endswith("_scb")
    }


def llm_int8(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Upstream's product as documented (LLM.int8): float16 activations, rounded to 8 bits by row."""
    x = x.half().float()
    largest = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8)
    rows = (x * 127 / largest).round()
    return (F.linear(rows, weight.float()) * largest * scale / (127 * 127)).half()


@pytest.mark.parametrize("names", ["split", "fused"])
@torch.no_grad()
def test_a_q8_file_runs_exactly_as_the_weights_that_it_stands_for(tmp_path: Path, names: str) -> None:
    state = quantised(reference_lm(seed=3))
    plain = our_lm(dequantised(state), tmp_path)
    lm = our_lm(fused(state) if names == "fused" else state, tmp_path, quantize=True)
    assert lm.state_dict()["transformer.layers.0.self_attn.in_proj.weight"].dtype == torch.int8
    tokens, slots = random_tokens(2, 30), torch.arange(2)
    state_8, state_32 = ready(lm, 2), ready(plain, 2)
    for t in range(30):
        eight = lm(tokens[:, :, t : t + 1], state_8, slots)
        exact = plain(tokens[:, :, t : t + 1], state_32, slots)
        assert torch.equal(eight.hidden, exact.hidden)
        assert torch.equal(eight.text_logits, exact.text_logits)


def test_scales_stay_float32_when_the_model_is_narrow(tmp_path: Path) -> None:
    lm = our_lm(quantised(reference_lm()), tmp_path, dtype=torch.bfloat16, quantize=True)
    layers = [module for module in lm.modules() if isinstance(module, Int8Linear)]
    assert len(layers) == 2 * 4 + 2 * 8 * 4 + 8 + 1 + 1
    scales = [layer.weight_scb for layer in layers]
    assert {scale.dtype for scale in scales if scale is not None} == {torch.float32}
    assert None not in scales
    assert lm.emb.weight.dtype == torch.bfloat16


@torch.no_grad()
def test_logits_are_close_to_the_8_bit_arithmetic_of_the_reference(tmp_path: Path) -> None:
    """The reference with its products replaced by emulated LLM.int8, which rounds activations as well."""
    reference = reference_lm(seed=3)
    state = quantised(reference)
    lm = our_lm(state, tmp_path, quantize=True)
    for name, module in reference.named_modules():
        if isinstance(module, nn.Linear):
            weight, scale = state[f"{name}.weight"], state[f"{name}.weight_scb"]
            module.register_forward_hook(
                lambda _, args, __, weight=weight, scale=scale: llm_int8(args[0], weight, scale).float()
            )
    # Its gating multiplies with the bare weights where a hook cannot see it.
    reference.load_state_dict(dequantised(state))
    tokens, slots = random_tokens(2, 20), torch.arange(2)
    kept = ready(lm, 2)
    ours, theirs = [], []
    with reference.streaming(2):
        for t in range(20):
            ours.append(lm(tokens[:, :, t : t + 1], kept, slots).text_logits)
            theirs.append(reference.forward_text(tokens[:, :, t : t + 1])[1][:, 0])
    mine, other = torch.cat(ours, dim=1), torch.cat(theirs, dim=1)
    assert F.cosine_similarity(mine, other, dim=-1).min() > 0.995
    with pytest.raises(AssertionError):
        assert_close(mine, other)
