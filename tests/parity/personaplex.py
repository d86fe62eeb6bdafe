"""A small checkpoint in the layout of `nvidia/personaplex-7b-v1`, the same weights on every machine."""

import json
import shutil
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint.config_file import lm_config, mimi_config
from engine.checkpoint.names import Entry, lm_entries, mimi_entries
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.parrot import CHECKPOINT as PARROT
from tests.parity.reference import LM_KWARGS, MIMI_CONFIG

LM_SMALL: dict[str, Any] = LM_KWARGS | {
    "dim": 32, "text_card": 64, "card": 2048, "num_heads": 2, "context": 100,
    "depformer_dim": 16, "depformer_dim_feedforward": 66, "depformer_num_heads": 2, "depformer_num_layers": 1,
}  # fmt: skip
MIMI_SMALL: dict[str, Any] = MIMI_CONFIG | {"quantizer": MIMI_CONFIG["quantizer"] | {"bins": 2048}}
LM_FILE = "model.safetensors"
MIMI_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"
TOKENIZER_FILE = "tokenizer_spm_32k_3.model"


def write_checkpoint(folder: Path, steps: int = 16) -> None:
    """steps: of the depformer in the file; the configuration leaves them unsaid."""
    config = {"model_type": "personaplex", "version": "1", "mimi_config": MIMI_SMALL} | LM_SMALL
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copyfile(next(PARROT.glob("tokenizer_spm_*.model")), folder / TOKENIZER_FILE)
    with torch.device("meta"):
        lm = LM(lm_config(LM_SMALL | {"dep_q": steps}))
        mimi = Mimi(mimi_config(MIMI_SMALL))
    save_file(_in_older_names(_drawn(lm_entries(lm))), folder / LM_FILE)
    save_file(_in_older_names(_drawn(mimi_entries(mimi))), folder / MIMI_FILE)


def recording() -> NDArray[np.float32]:
    """Fourteen frames and a bit of something like a voice, 24 kHz."""
    t = np.arange(14 * 1920 + 700) / 24_000
    noise = np.random.RandomState(1).normal(0, 0.02, len(t))  # the same in every numpy
    sound = 0.2 * np.sin(2 * np.pi * (180 + 60 * np.sin(7 * t)) * t) * np.abs(np.sin(5 * t)) + noise
    return sound.astype(np.float32)


def heard(frames: int) -> NDArray[np.int64]:
    """What a caller says, codes int64 [frames, 8]."""
    return np.random.RandomState(2).randint(0, 2048, (frames, 8)).astype(np.int64)


def _drawn(entries: Iterable[Entry]) -> dict[str, Tensor]:
    return {name: _draw(name, shape) for entry in entries for name, shape in entry.sources.items()}


def _draw(name: str, shape: tuple[int, ...]) -> Tensor:
    draws = np.random.RandomState(zlib.crc32(name.encode()))  # the same in every numpy
    if "_initialized" in name:
        values = np.ones(shape)
    elif "cluster_usage" in name or "alpha" in name or ("norm" in name and name.endswith("weight")):
        values = draws.uniform(0.5, 1.5, shape)
    elif "layer_scale" in name:
        values = draws.uniform(0.2, 0.4, shape)
    elif name.endswith("bias"):
        values = draws.normal(0, 0.02, shape)
    elif "embedding_sum" in name:
        values = draws.normal(0, 1.0, shape)
    else:
        inputs = int(np.prod(shape[1:])) if len(shape) == 3 else shape[-1]
        values = draws.normal(0, 1.4 / np.sqrt(inputs), shape)
    return torch.from_numpy(values).float()


def _in_older_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Its code keeps the projections of all steps of an attention in one tensor."""
    fused: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        for newer, older in ((".in_projs.", ".in_proj_weight"), (".out_projs.", ".out_proj.weight")):
            if newer in name:
                fused.setdefault(name.partition(newer)[0] + older, []).append(tensor)
                break
        else:
            fused[name] = [tensor]
    return {name: torch.cat(parts).contiguous() for name, parts in fused.items()}
