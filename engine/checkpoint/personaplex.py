"""What a PersonaPlex file holds beside the model: steps of the depformer whose codes are heard instead.

Its own code says 16 codebooks and then replaces 8 of them by what the caller said, so that they change
nothing (`LMGen.depformer_step`). Files come with weights for all 16, or for the 8 of Moshi.
"""

import re
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from engine.checkpoint.names import Entry, lm_entries
from engine.models.lm import LM

_HEAD = re.compile(r"linears\.\d+\.weight")


def personaplex_entries(lm: LM, path: Path) -> list[Entry]:
    """As `lm_entries`, of the file at `path`: what `lm` has no use for is there and goes nowhere."""
    trained = _steps_in(path)
    if trained <= lm.config.steps_trained:
        return lm_entries(lm)
    with torch.device("meta"):
        whole = LM(lm.config.trained_for(trained).running(lm.config.own_codebooks))
    ours = {name for name, _ in lm.named_parameters()} | {name for name, _ in lm.named_buffers()}
    return [entry if entry.target in ours else replace(entry, target=None) for entry in lm_entries(whole)]


def _steps_in(path: Path) -> int:
    """For how many steps there are weights; 0 for a file that cannot be read, of which others complain."""
    try:
        with safe_open(path, framework="pt") as file:
            return sum(_HEAD.fullmatch(key) is not None for key in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return 0
