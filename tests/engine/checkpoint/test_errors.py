"""What a user sees when a checkpoint cannot be loaded: a line or two that name file, key and remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checkpoint import load, load_mimi
from engine.errors import CheckpointError
from engine.parrot import CHECKPOINT
from engine.step.moshi_step import MoshiStep

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded checkpoint, to be damaged."""
    copy = tmp_path / "model"
    shutil.copytree(CHECKPOINT, copy)
    return copy


def problem(name: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(str(name), CPU)
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_the_copy_loads_when_nothing_is_wrong(folder: Path) -> None:
    assert load(str(folder), CPU).lm.config.card == 1024


@pytest.mark.parametrize("keep", [0, 5, 1000, -10])
def test_a_truncated_file(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    text = problem(folder)
    assert str(path) in text
    assert "fetch it again" in text


def test_a_file_that_is_not_what_its_name_says(folder: Path) -> None:
    (folder / "model.safetensors").write_text("<html>please log in</html>")
    assert "not a safetensors file" in problem(folder)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "consolidated.ckpt"])
def test_a_file_that_could_run_code_is_never_opened(folder: Path, name: str) -> None:
    torch.save({"weight": torch.zeros(1)}, folder / name)
    edit(folder, lambda config: config.update(moshi_name=name))
    text = problem(folder)
    assert str(folder / name) in text
    assert "only safetensors" in text


def test_a_missing_key(folder: Path) -> None:
    rewrite(folder / "model.safetensors", lambda weights: weights.pop("linears.3.weight"))
    text = problem(folder)
    assert "model.safetensors" in text
    assert "'linears.3.weight' is missing" in text


def test_a_foreign_key(folder: Path) -> None:
    rewrite(folder / "model.safetensors", lambda weights: weights.update({"linear.3.weight": torch.zeros(1)}))
    text = problem(folder)
    assert "'linear.3.weight'" in text
    assert "near: 'linears.3.weight'" in text


def test_a_wrong_shape(folder: Path) -> None:
    rewrite(
        folder / "model.safetensors", lambda weights: weights.update({"out_norm.alpha": torch.ones(1, 1, 8)})
    )
    text = problem(folder)
    assert "'out_norm.alpha' has shape [1, 1, 8]" in text
    assert "[1, 1, 176]" in text


def test_a_convolution_whose_axes_are_swapped(folder: Path) -> None:
    key = "encoder.model.3.conv.conv.weight"
    path = next(folder.glob("tokenizer-*.safetensors"))
    rewrite(path, lambda weights: weights.update({key: weights[key].mT.contiguous()}))
    text = problem(folder)
    assert path.name in text
    assert f"'{key}' has shape" in text


def test_8_bit_weights_that_the_configuration_does_not_announce(folder: Path) -> None:
    def quantise(weights: dict[str, torch.Tensor]) -> None:
        weights["text_linear.weight"] = weights["text_linear.weight"].to(torch.int8)
        weights["text_linear.weight_scb"] = torch.ones(64)

    rewrite(folder / "model.safetensors", quantise)
    assert '"quantize": true' in problem(folder)


def test_integers_where_weights_should_be(folder: Path) -> None:
    key = "text_linear.weight"
    rewrite(folder / "model.safetensors", lambda weights: weights.update({key: weights[key].to(torch.int8)}))
    text = problem(folder)
    assert f"'{key}' is int8" in text


@pytest.mark.parametrize("pattern", ["model.safetensors", "tokenizer-*.safetensors", "tokenizer_spm_*.model"])
def test_a_file_that_is_not_there(folder: Path, pattern: str) -> None:
    path = next(folder.glob(pattern))
    path.unlink()
    text = problem(folder)
    assert str(path) in text
    assert "no such file" in text


def test_a_tokenizer_that_is_none(folder: Path) -> None:
    path = next(folder.glob("tokenizer_spm_*.model"))
    path.write_bytes(b"nothing")
    assert f"{path}: not a SentencePiece model" in problem(folder)


def test_a_configuration_that_is_no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "config.json: not readable as JSON" in problem(folder)


def test_a_key_with_a_typo_names_the_near_one(folder: Path) -> None:
    edit(folder, lambda config: config.update(num_layer=2))
    assert "unknown key 'num_layer'; did you mean 'num_layers'?" in problem(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"norm": "batch_norm"}, "accepted: layer_norm"),
        ({"delays": [0, 0]}, "2 delays for 17 channels"),
        ({"num_heads": 5}, "no multiple"),
        ({"dim": "wide"}, "a value is not what it should be"),
        ({"causal": False}, "'causal' is False"),
        ({"context": None}, "'context' is missing"),
        ({"depformer_weights_per_step": False}, "depformer_weights_per_step"),
        ({"depformer_weights_per_step_schedule": [0, 1]}, "2 entries for dep_q 8"),
        ({"lora": True}, "give this as ENGINE_LORA"),
        ({"lora_name": "lora.safetensors"}, "lora.safetensors: no such file"),
        ({"lora_name": "lora.safetensors", "lora": False}, "give a file's name and true, or leave both out"),
        ({"cross_attention": True}, "conditioned"),
        ({"conditioners": {"speaker_wavs": {}}, "fuser": {"cross": ["speaker_wavs"]}}, "(speaker_wavs)"),
        (
            {"mimi_config": {"sample_rate": 24000, "seanet": {"n_residual_layers": 3}}},
            "'n_residual_layers' is 3",
        ),
        ({"mimi_config": {"sample_rate": 24000}}, "'seanet' is missing"),
        ({"mimi_config": 3}, "expected an object"),
        ({"lm_gen_config": {"top_k": "250"}}, "'top_k' is '250'; give a number from 0 up"),
        ({"lm_gen_config": {"temp": -1}}, "'temp' is -1"),
        ({"lm_gen_config": 3}, "expected an object"),
        ({"moshi_name": 3}, "'moshi_name' is 3; give a string"),
        ({"mimi_name": "hf://kyutai"}, "write hf://owner/name/file"),
    ],
)
def test_a_model_that_this_engine_cannot_run(folder: Path, change: dict[str, Any], said: str) -> None:
    edit(folder, lambda config: config.update(change))
    assert said in problem(folder)


def test_a_key_of_mimi_that_is_unknown(folder: Path) -> None:
    config = json.loads((folder / "mimi_config.json").read_text())
    edit(folder, lambda raw: raw.update(mimi_config=config | {"frames": 3}))
    assert "mimi_config: unknown key 'frames'" in problem(folder)


def test_a_codec_at_another_rate(folder: Path) -> None:
    config = json.loads((folder / "mimi_config.json").read_text())
    edit(folder, lambda raw: raw.update(mimi_config=config | {"sample_rate": 48_000}))
    assert "48000 Hz" in problem(folder)


def test_a_model_that_only_listens_is_no_partner_for_a_call(folder: Path) -> None:
    def listens(config: dict[str, Any]) -> None:
        config.update(dep_q=0)

    edit(folder, listens)
    rewrite(
        folder / "model.safetensors",
        lambda weights: [
            weights.pop(key) for key in list(weights) if key.startswith(("depformer", "linears"))
        ],
    )
    model = load(str(folder), CPU)
    with pytest.raises(CheckpointError, match="says nothing"):
        MoshiStep(model.mimi, model.lm, 1)


@pytest.mark.parametrize("name", ["parot", "./nowhere", "/nowhere/at/all", "random:7b", ""])
def test_a_name_that_means_nothing(name: str) -> None:
    text = problem(name)
    assert "random:moshi-7b" in text
    with pytest.raises(CheckpointError):
        load_mimi(name, CPU)


def test_a_file_instead_of_its_folder(folder: Path) -> None:
    assert "give the folder" in problem(folder / "model.safetensors")
