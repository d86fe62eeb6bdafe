import json
import shutil
from pathlib import Path

import torch

from engine.checkpoint import load, load_mimi
from engine.checkpoint.tokenizer import NumberTokenizer
from engine.parrot import CHECKPOINT
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep

CPU = torch.device("cpu")


def test_parrot_loads_in_float32_with_its_tokenizer_and_sampling() -> None:
    model = load("parrot", CPU)
    assert (model.lm.dtype, model.mimi.upsample.weight.dtype) == (torch.float32, torch.float32)
    assert [model.tokenizer.piece(token) for token in (0, 3, 4, 5, 6, 7)] == [
        "",
        "",
        " I",
        " hear",
        " you",
        ".",
    ]
    assert model.tokenizer.piece(10**6) == ""
    assert model.sampling == Sampling(0.8, 250, 0.7, 25)


def test_the_type_of_the_language_model_can_be_chosen_and_mimi_stays_float32() -> None:
    model = load("parrot", CPU, torch.bfloat16)
    assert model.lm.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in model.mimi.state_dict().values()} == {torch.float32}
    step = MoshiStep(model.mimi, model.lm, 1)
    step.join(0, Sampling())
    step.prime(torch.tensor([0]))
    assert step(torch.tensor([0]), torch.zeros(1, 1920)).pcm.abs().max() < 1e-5


def test_a_sampling_that_the_checkpoint_asks_for(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["lm_gen_config"] = {"temp": 0.5, "top_k_text": 5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(str(tmp_path), CPU).sampling == Sampling(0.5, 250, 0.7, 5)
    config["lm_gen_config"] = config["moshi_name"] = None
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(str(tmp_path), CPU).sampling == Sampling()


def test_clients_are_told_a_folders_name_and_not_where_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "my-parrot"
    shutil.copytree(CHECKPOINT, folder)
    assert load(str(folder), CPU).name == "my-parrot"
    assert load("parrot", CPU).name == "parrot"


def test_mimi_s_configuration_may_lie_inline_or_in_a_file_of_the_folder(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["mimi_config"] = json.loads(
        (tmp_path / config.pop("mimi_config_name", "mimi_config.json")).read_text()
    )
    inline = tmp_path / "config.json"
    inline.write_text(json.dumps(config))
    (tmp_path / "mimi_config.json").unlink(missing_ok=True)
    ours, given = load_mimi(str(tmp_path), CPU).state_dict(), load_mimi("parrot", CPU).state_dict()
    assert all(torch.equal(ours[key], given[key]) for key in given)


def test_files_that_the_configuration_does_not_name_are_found_by_their_kind(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for key in ("mimi_name", "tokenizer_name", "moshi_name"):
        config.pop(key, None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(str(tmp_path), CPU).tokenizer.piece(4) == " I"


def test_files_may_lie_elsewhere_on_the_machine(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere.safetensors"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "model.safetensors").rename(elsewhere)
    config = json.loads((folder / "config.json").read_text())
    config["moshi_name"] = f"file://{elsewhere}"
    (folder / "config.json").write_text(json.dumps(config))
    assert load(str(folder), CPU).lm.config.card == 1024


def test_random_weights_are_the_same_each_time_and_give_finite_varied_answers() -> None:
    first, second = load("random:tiny", CPU), load("random:tiny", CPU)
    for ours, again in ((first.lm, second.lm), (first.mimi, second.mimi)):
        state = again.state_dict()
        assert all(torch.equal(tensor, state[key]) for key, tensor in ours.state_dict().items())
    assert isinstance(first.tokenizer, NumberTokenizer)
    assert [first.tokenizer.piece(token) for token in (0, 3, 17)] == ["", "", " 17"]
    step = MoshiStep(first.mimi, first.lm, 2)
    slots = torch.arange(2)
    for slot in range(2):
        step.join(slot, Sampling(seed=slot))
    step.prime(slots)
    generator = torch.Generator().manual_seed(0)
    answers = [step(slots, torch.randn(2, 1920, generator=generator) * 0.1) for _ in range(60)]
    said = torch.stack([answer.codes for answer in answers])
    heard = torch.stack([answer.user_codes for answer in answers])
    pcm = torch.stack([answer.pcm for answer in answers])
    assert pcm.isfinite().all()
    assert 0.01 < pcm.abs().max() < 10
    assert min(len(set(said.flatten().tolist())), len(set(heard.flatten().tolist()))) > 20
    assert len({token for answer in answers for token in answer.text.tolist()}) > 10
    assert not torch.equal(said[:, 0], said[:, 1])
