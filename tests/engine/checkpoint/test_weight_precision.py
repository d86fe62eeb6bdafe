"""Matrices that get 8 bits while they are loaded."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from engine.checkpoint.load import Model, load
from engine.errors import SettingError
from engine.models.config import WeightPrecision
from engine.models.float8 import Float8Linear
from engine.models.linear import AnyLinear, Int8Linear, Linear
from engine.parrot import CHECKPOINT

CPU = torch.device("cpu")
KINDS: list[tuple[WeightPrecision, type[AnyLinear]]] = [("int8", Int8Linear), ("fp8", Float8Linear)]


@pytest.fixture(scope="module", params=["parrot", "random:tiny"])
def exact(request: pytest.FixtureRequest) -> Model:
    return load(request.param, CPU)


def text_logits(model: Model, frames: int = 20) -> torch.Tensor:
    """For the same tokens, whatever the model says to them: [frames, V]."""
    generator, lm, slots = torch.Generator().manual_seed(0), model.lm, torch.arange(1)
    tokens = torch.randint(0, 60, (1, 1 + lm.config.n_q, frames), generator=generator)
    state = lm.new_state(1)
    state.reset(slots)
    with torch.inference_mode():
        return torch.cat([lm(tokens[:, :, t : t + 1], state, slots).text_logits[0] for t in range(frames)])


@pytest.mark.parametrize(("weights", "kind"), KINDS)
def test_every_matrix_of_the_language_model_is_the_exact_one_in_8_bits(
    exact: Model, weights: WeightPrecision, kind: type[AnyLinear]
) -> None:
    lm = load(exact.name, CPU, weights=weights).lm
    matrices = {path: part for path, part in exact.lm.named_modules() if isinstance(part, Linear)}
    assert matrices
    for path, matrix in matrices.items():
        eight = lm.get_submodule(path)
        assert isinstance(eight, kind)
        assert eight.weight_scb is not None
        rows, scale = kind.quantised(matrix.weight)
        assert torch.equal(eight.weight.float(), rows.float()), path
        assert torch.equal(eight.weight_scb, scale), path
    assert torch.equal(lm.emb.weight, exact.lm.emb.weight)


@pytest.mark.parametrize(("weights", "closeness"), [("int8", 0.9995), ("fp8", 0.985)])
def test_8_bit_weights_answer_nearly_as_exact_ones(
    exact: Model, weights: WeightPrecision, closeness: float
) -> None:
    ours, theirs = text_logits(load(exact.name, CPU, weights=weights)), text_logits(exact)
    assert not torch.equal(ours, theirs)
    assert torch.cosine_similarity(ours, theirs, dim=-1).min() > closeness


def test_8_bit_floats_are_refused_where_nothing_multiplies_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    for device in ("cuda:0", "mps"):
        with pytest.raises(SettingError, match="compute capability"):
            load("random:tiny", torch.device(device), weights="fp8")


def test_a_checkpoint_in_int8_stays_in_int8(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantize": True}))
    with pytest.raises(SettingError, match="has int8 weights"):
        load(str(folder), CPU, weights="fp8")
