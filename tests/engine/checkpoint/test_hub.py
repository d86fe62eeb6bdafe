"""Checkpoints from the Hugging Face Hub, played by a server on this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from engine.checkpoint import load
from engine.checkpoint.fetch import fetch as fetch_ahead
from engine.checkpoint.locate import locate
from engine.errors import CheckpointError
from engine.parrot import CHECKPOINT
from tests.engine.checkpoint.fake_hub import fake_hub

TEMPLATE = "/{repo_id}/resolve/{revision}/{filename}"
REPO = "someone/echo-pytorch-bf16"
FILES = {f"{REPO}/{path.name}": path.read_bytes() for path in CHECKPOINT.iterdir() if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The log of a hub that is the one this process downloads from, into an empty cache."""
    files = dict(FILES)
    shared = json.loads(files[f"{REPO}/config.json"])
    mimi = shared["mimi_name"]
    shared.pop("mimi_config_name", None)
    files[f"someone/shared/{mimi}"] = files[f"{REPO}/{mimi}"]
    shared["mimi_name"] = f"hf://someone/shared/{mimi}"
    files["someone/shared/config.json"] = json.dumps(shared).encode()
    files["someone/bare/README.md"] = b"nothing else"
    with fake_hub(files) as (address, log):
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + TEMPLATE)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield log


def test_a_repository_is_downloaded_once(hub: list[str]) -> None:
    cpu = torch.device("cpu")
    assert load(REPO, cpu).tokenizer.piece(4) == " I"
    fetched = [line for line in hub if line.startswith("GET")]
    assert len(fetched) == len(set(fetched)) == 5
    assert load(REPO, cpu).lm.config.card == 1024
    assert [line for line in hub if line.startswith("GET")] == fetched


def test_a_download_says_what_it_fetches_and_how_large_it_is(
    hub: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    locate(REPO).mimi()
    said = [vars(record) for record in caplog.records if record.message == "downloading"]
    sizes = {line["file"]: line["bytes"] for line in said}
    assert sizes["tokenizer-parrot-mimi.safetensors"] == 7_810_914
    caplog.clear()
    locate(REPO).mimi()
    assert "downloading" not in caplog.text


def test_a_configuration_may_point_into_another_repository(hub: list[str]) -> None:
    files = locate("someone/shared")
    assert files.mimi().read_bytes() == FILES[f"{REPO}/{files.mimi().name}"]


def test_a_repository_without_config_json_is_taken_for_a_moshi_7b(hub: list[str]) -> None:
    files = locate("someone/bare")
    assert files.config is None
    assert (files.lm_name, files.tokenizer_name) == ("model.safetensors", "tokenizer_spm_32k_3.model")
    with pytest.raises(CheckpointError, match=r"someone/bare: the repository has no file model\.safetensors"):
        files.lm()


def test_that_there_is_no_config_json_is_known_without_the_hub_later(
    hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    locate("someone/bare")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9" + TEMPLATE)
    assert locate("someone/bare").config is None


def test_an_unknown_repository(hub: list[str]) -> None:
    with pytest.raises(CheckpointError, match="nobody/nothing: no such repository") as caught:
        load("nobody/nothing", torch.device("cpu"))
    assert len(str(caught.value).splitlines()) == 1


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9" + TEMPLATE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="the Hub cannot be reached") as caught:
        load(REPO, torch.device("cpu"))
    assert len(str(caught.value).splitlines()) == 1


FETCH = """
import sys
from engine.checkpoint.locate import locate
from engine.errors import CheckpointError
try:
    sys.stdout.write(str(locate(sys.argv[1]).lm()))
except CheckpointError as error:
    sys.exit(f"CheckpointError: {error}")
"""


def fetch(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", FETCH, REPO],
        env=kept | environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_repository_that_asks_for_its_terms_to_be_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_hub(FILES, token="hf_secret") as (address, _):
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + TEMPLATE)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_TOKEN", "hf_other")
        with pytest.raises(CheckpointError, match="accept its terms on the Hub and set HF_TOKEN"):
            locate(REPO)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert locate(REPO).lm_name == "model.safetensors"


def test_the_usual_variables_of_the_hub_are_honoured(tmp_path: Path) -> None:
    with fake_hub(FILES, token="hf_secret") as (address, _):
        given = fetch(HF_HOME=str(tmp_path), HF_ENDPOINT=address, HF_TOKEN="hf_secret")
        assert given.stdout.startswith(str(tmp_path)), given.stderr
    offline = fetch(HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert offline.stdout == given.stdout


def test_files_are_fetched_ahead_of_time(hub: list[str]) -> None:
    assert [path.name for path in fetch_ahead(REPO)] == [
        "model.safetensors",
        "tokenizer-parrot-mimi.safetensors",
        "tokenizer_spm_parrot.model",
    ]
    fetched = [line for line in hub if line.startswith("GET")]
    load(REPO, torch.device("cpu"))
    assert [line for line in hub if line.startswith("GET")] == fetched


def test_there_is_nothing_to_fetch_of_made_up_weights(hub: list[str]) -> None:
    assert fetch_ahead("random:moshi-7b") == []
    assert hub == []
