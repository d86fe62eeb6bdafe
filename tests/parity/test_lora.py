"""LoRA adapters: the keys that the reference has, and its fused model, on random weights."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint.config_file import lm_config
from engine.checkpoint.lora import Lora
from engine.checkpoint.names import lm_entries
from engine.checkpoint.weights import allocate, fill
from engine.models.lm import LM
from tests.parity.reference import CPU, LM_KWARGS, assert_close, our_lm, reference_lm
from tests.parity.test_lm import random_tokens, ready

RANK, SCALING = 4, 1.5
WHOLE = ("text_emb.weight", "emb.3.weight")
KWARGS: dict[str, Any] = LM_KWARGS | {"lora": True, "lora_rank": RANK, "lora_scaling": SCALING}


def adapter(replaced: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """A file as moshi-finetune writes it: both halves of every matrix, and with ft_embed whole tensors."""
    from moshi.models import loaders

    state = loaders.get_moshi_lm(None, KWARGS, device="cpu", dtype=torch.float32).state_dict()
    halves = {key: 0.2 * torch.randn_like(value) for key, value in state.items() if ".lora_" in key}
    return halves | {key: torch.randn_like(state[key]) for key in replaced}


def older(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of older files: one tensor for all sets of attention weights."""
    out: dict[str, list[Tensor]] = {}
    for key, value in state.items():
        out.setdefault(re.sub(r"_projs\.\d+\.", "_proj.", key), []).append(value)
    return {key: torch.cat(parts) for key, parts in out.items()}


def fused_by_the_reference(base: Path, lora: Path) -> Any:
    from moshi.models import loaders

    return loaders.get_moshi_lm(
        base, KWARGS, device="cpu", dtype=torch.float32, lora_weights=lora, fuse_lora=True
    )


@pytest.mark.parametrize(
    ("replaced", "ours"),
    [((), set()), (WHOLE, {"text_emb.weight", "emb.weight"})],
    ids=["halves alone", "whole tensors too"],
)
@pytest.mark.parametrize("names", ["split", "older"])
@torch.no_grad()
def test_the_fused_model_is_that_of_the_reference(
    tmp_path: Path, replaced: tuple[str, ...], ours: set[str], names: str
) -> None:
    base, lora = tmp_path / "base.safetensors", tmp_path / "lora.safetensors"
    plain = reference_lm().state_dict()
    save_file({key: value.contiguous().clone() for key, value in plain.items()}, base)
    halves = adapter(replaced)
    save_file(older(halves) if names == "older" else halves, lora)
    reference = fused_by_the_reference(base, lora)

    with torch.device("meta"):
        lm = LM(lm_config(LM_KWARGS))
    allocate(lm, CPU, torch.float32)
    fill(lm, lm_entries(lm), base, lora=Lora(lora, RANK, SCALING))

    expected = our_lm(reference.state_dict(), tmp_path).state_dict()
    before = our_lm(plain, tmp_path).state_dict()
    for key, value in lm.state_dict().items():
        assert_close(value, expected[key])
    changed = {key for key, value in before.items() if not torch.equal(value, expected[key])}
    assert changed == ours | {key for key in before if not re.search("norm|emb", key)}

    tokens, slots, state = random_tokens(2, 20), torch.arange(2), ready(lm, 2)
    with reference.streaming(2):
        for t in range(20):
            logits = lm(tokens[:, :, t : t + 1], state, slots).text_logits
            assert_close(logits, reference.forward_text(tokens[:, :, t : t + 1])[1][:, 0])
