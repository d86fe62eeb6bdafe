"""The reference at our shapes; in a process of its own, for it shares no path with the engine."""

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch

from engine.bench.peer import lm_arguments, measure_peer, mimi_arguments
from engine.bench.results import Peer
from engine.checkpoint.config_file import lm_config, mimi_config
from engine.checkpoint.random_weights import tiny_lm, tiny_mimi
from engine.models.config import LMConfig, MimiConfig

ROOT = Path(__file__).parents[3]
PARROT = ROOT / "engine" / "parrot" / "checkpoint"
CPU = torch.device("cpu")


def parrot() -> tuple[LMConfig, MimiConfig]:
    lm = {
        key: value
        for key, value in json.loads((PARROT / "config.json").read_text()).items()
        if not key.endswith("_name") and key not in ("model_type", "lm_gen_config", "model_id")
    }
    return lm_config(lm), mimi_config(json.loads((PARROT / "mimi_config.json").read_text()))


@pytest.mark.parametrize(
    ("lm", "mimi"),
    [(LMConfig.moshi_7b(), MimiConfig.official()), (tiny_lm(), tiny_mimi()), parrot()],
    ids=["moshi-7b", "tiny", "parrot"],
)
def test_our_shapes_in_the_words_of_the_reference_are_read_back_as_they_were(
    lm: LMConfig, mimi: MimiConfig
) -> None:
    assert lm_config(lm_arguments(lm)) == lm
    assert mimi_config(mimi_arguments(mimi)) == mimi


def test_the_peer_is_given_only_the_codebooks_that_are_said() -> None:
    arguments = lm_arguments(tiny_lm().running(4))
    assert arguments["dep_q"] == 4
    assert len(arguments["depformer_dim_feedforward"]) == 4


@pytest.mark.skipif(
    not (ROOT / ".reference").is_dir()
    and importlib.util.find_spec("moshi") is None
    and not os.environ.get("CI"),
    reason="the reference package is not there: run make setup",
)
def test_the_reference_is_timed_at_every_number_of_sessions() -> None:
    peer = measure_peer(tiny_lm(), tiny_mimi(), [1, 3], 3, CPU, torch.float32)
    assert peer.error is None
    assert peer.name == "moshi 0.2.13"
    assert [(level.sessions, level.step.count) for level in peer.levels] == [(1, 3), (3, 3)]


def test_a_peer_that_takes_too_long_is_ended_and_what_it_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\necho \'{"name": "moshi 9"}\'\nprintf \'{"sess\'\nexec sleep 60\n')
    slow.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(slow))
    monkeypatch.setattr("engine.bench.peer._LONGEST_S", 0.5)
    assert measure_peer(tiny_lm(), tiny_mimi(), [1], 3, CPU, torch.float32) == Peer(
        "moshi 9", (), "ended after 0.5 s"
    )


def test_a_peer_that_breaks_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\ncat > /dev/null\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    peer = measure_peer(tiny_lm(), tiny_mimi(), [1], 3, CPU, torch.float32)
    assert peer.error == "its process ended with status 7"
