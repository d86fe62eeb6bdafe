"""`nvidia/personaplex-7b-v1` as its files lie on the Hub; what they say is in tests/parity."""

import json
from pathlib import Path

import pytest
import torch

from engine.checkpoint import load, outline
from engine.checkpoint.names import lm_entries
from engine.checkpoint.personaplex import personaplex_entries
from engine.errors import CheckpointError
from engine.models.config import LMConfig
from tests.parity.personaplex import write_checkpoint


def test_its_configuration_says_only_what_it_is_and_the_rest_is_built_in(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "personaplex", "version": "1.0"}))
    mimi, lm = outline(str(tmp_path), torch.bfloat16)
    assert (lm.config.transformer.context, mimi.config.transformer.context) == (2999, 249)
    moshi = LMConfig.moshi_7b()
    assert (lm.config.delays, lm.config.depformer) == (moshi.delays, moshi.depformer)
    assert len({name for entry in lm_entries(lm) for name in entry.sources}) == 439


def test_of_a_file_for_16_codebooks_the_first_8_are_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, steps=16)
    model = load(str(tmp_path), torch.device("cpu"))
    entries = personaplex_entries(model.lm, tmp_path / "model.safetensors")
    read = [name for entry in entries for name in entry.sources if entry.target]
    left = [name for entry in entries for name in entry.sources if not entry.target]
    assert "linears.7.weight" in read
    assert "linears.8.weight" in left
    assert "depformer_emb.7.weight" in left
    assert not any("transformer.layers" in name and "depformer" not in name for name in left)


def test_a_file_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, steps=8)
    (tmp_path / "model.safetensors").write_text("nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        load(str(tmp_path), torch.device("cpu"))
