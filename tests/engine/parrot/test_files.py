"""The committed files are what the build script makes; only what it learns from speech is taken on trust."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.parrot import CHECKPOINT, build, codebooks
from engine.parrot.corpus import Samples
from engine.parrot.stream import SPEECH

LEARNT = ("._codebook.embedding_sum", "._codebook.cluster_usage", ".input_proj.weight", ".output_proj.weight")
SPEECH_TABLE = "emb.8.weight"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script's output where it learns 32 codewords from tones and not 1024 from speech."""

    def tones(seed: int) -> list[Samples]:
        rng = np.random.default_rng(seed)
        frequencies = np.repeat(np.exp(rng.uniform(5, 8, 160)), 9600)
        amplitudes = np.repeat(np.exp(rng.uniform(-4, -1, 160)), 9600)
        return [(amplitudes * np.sin(2 * np.pi * np.cumsum(frequencies) / 24_000)).astype(np.float32)]

    out = tmp_path_factory.mktemp("rebuilt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "training_sound", tones)
        patch.setattr(codebooks, "CARD", 32)
        build.build(out)
    return out


def committed(name: str) -> dict[str, torch.Tensor]:
    return load_file(CHECKPOINT / name)


def test_the_folder_holds_six_files_of_less_than_16_mb(rebuilt: Path) -> None:
    files = {path.name: path.stat().st_size for path in CHECKPOINT.iterdir()}
    assert set(files) == {path.name for path in rebuilt.iterdir()}
    assert len(files) == 6
    assert sum(files.values()) <= 16_000_000


@pytest.mark.parametrize("name", ["config.json", "mimi_config.json", "tokenizer_spm_parrot.model"])
def test_what_is_not_learnt_is_rebuilt_to_the_byte(rebuilt: Path, name: str) -> None:
    assert (CHECKPOINT / name).read_bytes() == (rebuilt / name).read_bytes()


def test_the_codec_in_closed_form_is_the_committed_one(rebuilt: Path) -> None:
    ours, theirs = load_file(rebuilt / build.MIMI_FILE), committed(build.MIMI_FILE)
    assert set(ours) == set(theirs)
    assert {weight.dtype for weight in theirs.values()} == {torch.float16}
    computed = [name for name in ours if not name.endswith(LEARNT)]
    assert len(ours) - len(computed) == 8 + 8 + 4
    for name in computed:
        # Another processor may round a sine, or a tone's measured level, to the next number of fp16.
        torch.testing.assert_close(ours[name].float(), theirs[name].float(), rtol=2**-9, atol=1e-6, msg=name)


def test_the_language_model_is_the_committed_one_but_for_the_table_of_speech(rebuilt: Path) -> None:
    ours, theirs = load_file(rebuilt / build.LM_FILE), committed(build.LM_FILE)
    assert set(ours) == set(theirs)
    assert {weight.dtype for weight in theirs.values()} == {torch.bfloat16}
    different = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert different <= {SPEECH_TABLE}
    differing_columns = (ours[SPEECH_TABLE] != theirs[SPEECH_TABLE]).any(0).nonzero()
    assert len(differing_columns) <= 1


def test_the_facts_agree_with_the_weights(rebuilt: Path, facts: dict[str, Any]) -> None:
    ours = json.loads((rebuilt / build.FACTS_FILE).read_text())
    assert {**ours, "speech_codes": None} == {**facts, "speech_codes": None}
    speech = committed(build.LM_FILE)[SPEECH_TABLE][:, SPEECH]
    assert int((speech > 0).sum()) == facts["speech_codes"] > 900
    assert speech[0] == -1


@pytest.mark.parametrize("which", ["committed", "rebuilt"])
def test_only_codeword_zero_lies_near_silence(rebuilt: Path, which: str) -> None:
    folder = {"committed": CHECKPOINT, "rebuilt": rebuilt}[which]
    tables = [w for name, w in load_file(folder / build.MIMI_FILE).items() if name.endswith(LEARNT[0])]
    assert len(tables) == 8
    for codewords in tables:
        lengths = codewords.float().norm(dim=1)
        assert lengths[0] == 0
        assert lengths[1:].min() > 0.59


def test_k_means_finds_what_is_in_heaps() -> None:
    generator = torch.Generator().manual_seed(0)
    heaps = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    points = heaps.repeat(200, 1) + 0.1 * torch.randn(600, 2, generator=generator)
    centres = codebooks.k_means(points, 12, generator)
    assert torch.cdist(heaps, centres).amin(1).max() < 0.2
    assert torch.cdist(points, centres).amin(1).max() < 0.5


def test_the_folder_is_named_without_importing_torch() -> None:
    code = (
        "import sys, engine.parrot; sys.exit('torch' in sys.modules or not engine.parrot.CHECKPOINT.is_dir())"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKPOINT.parents[2]).returncode == 0


def test_a_build_without_espeak_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["build", "--out", str(tmp_path / "out")])
    assert build.main() == 2
    assert "apt-get install espeak-ng" in caplog.text
    assert not (tmp_path / "out").exists()
