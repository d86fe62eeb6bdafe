"""The official files: every key, every shape, and both families of names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.checkpoint.names import Entry, lm_entries, mimi_entries
from engine.models.config import LMConfig, MimiConfig
from engine.models.lm import LM
from engine.models.mimi import Mimi
from tests.parity.reference import our_lm, our_mimi, reference_lm, reference_mimi

META = torch.device("meta")


def keys_of(entries: Iterable[Entry]) -> dict[str, tuple[int, ...]]:
    return {key: shape for entry in entries for key, shape in entry.sources.items()}


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def test_moshi_7b_has_exactly_the_keys_shapes_and_parameters_of_the_reference() -> None:
    from moshi.models import loaders
    from moshi.models.lm import LMModel

    with META:
        lm = LM(LMConfig.moshi_7b())
        expected = shapes(LMModel(device=META, dtype=torch.bfloat16, **loaders._lm_kwargs).state_dict())
    assert keys_of(lm_entries(lm)) == expected
    assert len(expected) == 439
    assert sum(parameter.numel() for parameter in lm.parameters()) == 7_687_729_152


def test_official_mimi_has_exactly_the_keys_and_shapes_of_the_reference() -> None:
    from moshi.models import loaders

    with META:
        mimi = Mimi(MimiConfig.official())
    expected = shapes(loaders.get_mimi(None).state_dict())
    assert keys_of(mimi_entries(mimi)) == expected
    assert len(expected) == 318


def fused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of released files: one tensor for all sets of attention weights, older codebooks."""
    out: dict[str, Tensor] = {}
    groups: dict[str, list[Tensor]] = {}
    for key, value in state.items():
        if "_projs." in key:
            head, _, tail = key.partition("_projs.")
            scale = "_scb" if tail.endswith("_scb") else ""
            joined = f"{head}_proj_weight" if head.endswith("in") else f"{head}_proj.weight"
            groups.setdefault(joined + scale, []).append(value)
        else:
            for new, old in {"_initialized": "inited", "cluster_usage": "cluster_size"}.items():
                key = key.replace(f"_codebook.{new}", f"_codebook.{old}")
            out[key.replace("embedding_sum", "embed_avg")] = value
    return out | {key: torch.cat(values) for key, values in groups.items()}


def same(ours: nn.Module, other: nn.Module) -> bool:
    mine, theirs = ours.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_split_and_fused_names_give_the_same_language_model(tmp_path: Path) -> None:
    state = reference_lm().state_dict()
    assert fused(state).keys() != state.keys()
    reference_lm(seed=9).load_state_dict(fused(state), strict=True)
    assert same(our_lm(state, tmp_path), our_lm(fused(state), tmp_path))


def test_split_and_fused_names_give_the_same_mimi(tmp_path: Path) -> None:
    state = reference_mimi().state_dict()
    reference_mimi(seed=9).load_state_dict(fused(state), strict=True)
    assert same(our_mimi(state, tmp_path), our_mimi(fused(state), tmp_path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_values_in_a_file_are_computed_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in reference_lm().state_dict().items()}
    widened = {key: value.float() for key, value in state.items()}
    lm = our_lm(state, tmp_path)
    assert lm.dtype == torch.float32
    assert same(lm, our_lm(widened, tmp_path))
