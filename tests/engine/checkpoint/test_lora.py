"""An adapter beside a checkpoint: found, fused, told of; or refused in words."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checkpoint.fetch import fetch
from engine.checkpoint.fingerprint import fingerprint
from engine.checkpoint.load import load
from engine.errors import CheckpointError, SettingError
from engine.models.linear import Int8Linear
from engine.parrot import CHECKPOINT

CPU = torch.device("cpu")
OUT = "transformer.layers.0.self_attn.out_projs.0"
OURS = "transformer.layers.0.self_attn.out_proj"
RANK, SCALING = 2, 0.5


def adapter(folder: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A folder as moshi-finetune makes it; `changes` are other tensors under its keys, None takes one out."""
    folder.mkdir(exist_ok=True)
    width = load_file(CHECKPOINT / "model.safetensors")["text_emb.weight"].shape[1]
    halves = {
        f"{OUT}.lora_A.weight": torch.randn(RANK, width),
        f"{OUT}.lora_B.weight": torch.randn(width, RANK),
    } | changes
    kept = {key: value for key, value in halves.items() if value is not None}
    save_file(kept, folder / "lora.safetensors")
    told = {"lora": True, "lora_rank": RANK, "lora_scaling": SCALING} if config is None else config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def problem(lora: Path | str, kind: type[Exception] = CheckpointError) -> str:
    with pytest.raises(kind) as caught:
        load("parrot", CPU, lora=str(lora))
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def test_what_it_adds_is_scaled_as_its_configuration_says(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine")
    halves = load_file(folder / "lora.safetensors")
    product = halves[f"{OUT}.lora_B.weight"] @ halves[f"{OUT}.lora_A.weight"]
    plain, adapted = load("parrot", CPU), load("parrot", CPU, lora=str(folder))
    before, after = plain.lm.get_submodule(OURS).weight, adapted.lm.get_submodule(OURS).weight
    assert isinstance(before, torch.Tensor)
    assert isinstance(after, torch.Tensor)
    assert torch.allclose(after, before + SCALING * product, atol=1e-5)
    others = [name for name, _ in plain.lm.named_parameters() if name != f"{OURS}.weight"]
    assert all(torch.equal(plain.lm.get_parameter(name), adapted.lm.get_parameter(name)) for name in others)


def test_a_file_finds_its_configuration_beside_it_and_without_one_scales_by_2(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine")
    by_folder = load("parrot", CPU, lora=str(folder)).lm.state_dict()
    by_file = load("parrot", CPU, lora=str(folder / "lora.safetensors")).lm.state_dict()
    assert all(torch.equal(by_folder[key], by_file[key]) for key in by_folder)
    (folder / "config.json").unlink()
    plain = load("parrot", CPU).lm.state_dict()[f"{OURS}.weight"]
    usual = load("parrot", CPU, lora=str(folder)).lm.state_dict()[f"{OURS}.weight"]
    assert torch.allclose(usual - plain, 2 / SCALING * (by_file[f"{OURS}.weight"] - plain), atol=1e-4)


def test_a_checkpoint_may_name_its_own(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine")
    whole = tmp_path / "whole"
    shutil.copytree(CHECKPOINT, whole)
    shutil.copy(folder / "lora.safetensors", whole / "mine.safetensors")
    config = json.loads((whole / "config.json").read_text())
    told = {"lora": True, "lora_name": "mine.safetensors", "lora_rank": RANK, "lora_scaling": SCALING}
    (whole / "config.json").write_text(json.dumps(config | told))
    named, given = load(str(whole), CPU), load("parrot", CPU, lora=str(folder))
    assert torch.equal(named.lm.state_dict()[f"{OURS}.weight"], given.lm.state_dict()[f"{OURS}.weight"])
    assert whole / "mine.safetensors" in fetch(str(whole))


def test_it_is_fused_before_weights_get_8_bits(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine")
    exact = load("parrot", CPU, lora=str(folder)).lm.get_submodule(OURS)
    eight = load("parrot", CPU, weights="int8", lora=str(folder)).lm.get_submodule(OURS)
    assert isinstance(eight, Int8Linear)
    assert isinstance(exact.weight, torch.Tensor)
    rows, scale = Int8Linear.quantised(exact.weight)
    assert torch.equal(eight.weight.float(), rows.float())
    assert eight.weight_scb is not None
    assert torch.equal(eight.weight_scb, scale)


def test_sessions_move_only_between_engines_with_the_same_adapter(tmp_path: Path) -> None:
    one, other = adapter(tmp_path / "one"), adapter(tmp_path / "other")
    models = (load("parrot", CPU), load("parrot", CPU, lora=str(one)), load("parrot", CPU, lora=str(other)))
    assert len({fingerprint(model) for model in models}) == 3
    assert fingerprint(models[1]) == fingerprint(load("parrot", CPU, lora=str(one / "lora.safetensors")))


def test_clients_are_told_of_it_by_name(tmp_path: Path) -> None:
    assert load("parrot", CPU, lora=str(adapter(tmp_path / "mine"))).name == "parrot+mine"


def test_it_is_fetched_with_the_checkpoint(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine")
    assert folder / "lora.safetensors" in fetch("parrot", str(folder))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({f"{OUT}.lora_B.weight": None}, f"'{OUT}.lora_A.weight' has no other half"),
        ({f"{OUT}.lora_A.weight": torch.zeros(RANK, 3)}, f"has shape [{RANK}, 3], and the model"),
        (
            {"trnsformer.lora_A.weight": torch.zeros(1, 1)},
            "key 'trnsformer.lora_A.weight' belongs to nothing in the model",
        ),
        ({"linears.0.weights": torch.zeros(1)}, "near: 'linears.0.weight'"),
        ({"text_emb.weight": torch.zeros(1, 1)}, "'text_emb.weight' has shape [1, 1]"),
        ({f"{OUT}.lora_A.weight": None, f"{OUT}.lora_B.weight": None, "x": torch.zeros(1)}, "no LoRA"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = adapter(tmp_path / "mine", **changes)
    text = problem(folder)
    assert said in text
    assert str(folder / "lora.safetensors") in text


def test_a_rank_that_is_not_the_configurations(tmp_path: Path) -> None:
    text = problem(adapter(tmp_path / "mine", {"lora_rank": 8}))
    assert f"has shape [{RANK}, " in text
    assert "the model with lora_rank 8 asks for [8, " in text


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lora_scaling": "much"}, "'lora_scaling' is 'much'; give a number from 0 up"),
        ({"lora_rank": -1}, "'lora_rank' is -1; give a number from 0 up"),
        ({"lora_name": "theirs.safetensors"}, "theirs.safetensors: no such file"),
        ({"lora_name": "theirs.bin"}, "theirs.bin: no such file"),
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    assert said in problem(adapter(tmp_path / "mine", config))


def test_a_damaged_file(tmp_path: Path) -> None:
    path = adapter(tmp_path / "mine") / "lora.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    assert "damaged or not a safetensors file" in problem(path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "lora.pt"
    path.touch()
    assert "only safetensors files are read" in problem(path)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    assert f"no adapter '{tmp_path}/none'" in problem(tmp_path / "none")


def test_an_adapter_where_the_model_should_be(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="give this as ENGINE_LORA"):
        load(str(adapter(tmp_path / "mine")), CPU)


def test_a_model_of_random_weights_has_none(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="random:tiny has no adapter"):
        load("random:tiny", CPU, lora=str(adapter(tmp_path / "mine")))


def test_8_bit_files_take_none(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(CHECKPOINT, whole)
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(config | {"quantize": True}))
    with pytest.raises(SettingError, match="no adapter can be fused into them"):
        load(str(whole), CPU, lora=str(adapter(tmp_path / "mine")))
