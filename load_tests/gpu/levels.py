"""Stages 3 and 4: the benchmark itself, without its command line, whose libraries may be missing."""

from collections.abc import Sequence
from functools import partial

import torch

from engine.bench.command import run
from engine.bench.options import Options
from engine.models.config import KvPrecision, WeightPrecision
from engine.step.capacity import Variant
from load_tests.gpu.notes import Notes

_STEPS = 1000
_SECONDS = 20.0
# What no other stage measures comes first: the time may not be enough for all.
_LADDER: tuple[tuple[WeightPrecision, KvPrecision, tuple[int, ...]], ...] = (
    ("int8", "int8", (80, 1)),
    ("exact", "exact", (40, 8, 32, 16, 1)),
)
_PEER_SESSIONS = (1, 8, 16)


def ladder(notes: Notes, device: torch.device, checkpoint: str) -> int:
    """Full contexts, exactly and in 8 bits."""
    for weights, kv, sessions in _LADDER:
        _run(notes, device, Variant(checkpoint, torch.bfloat16, weights, kv), sessions)
    return 0


def final(notes: Notes, device: torch.device, checkpoint: str) -> int:
    """The peer first, for it is what no other stage measures; then 8-bit floats."""
    _run(notes, device, Variant(checkpoint, torch.bfloat16), _PEER_SESSIONS, peer=True)
    _run(notes, device, Variant(checkpoint, torch.bfloat16, "fp8", "int8"), (1, 80))
    return 0


def _run(
    notes: Notes, device: torch.device, variant: Variant, sessions: Sequence[int], peer: bool = False
) -> None:
    name = f"{notes.stage}-weights-{variant.weights}-kv-{variant.kv}"
    options = Options(
        tuple(sessions),
        ("full",),
        _STEPS if device.type == "cuda" else 10,
        _SECONDS if device.type == "cuda" else 1.0,
        json_file=notes.folder / f"{name}.json",
        peer=peer,
    )
    run(variant, device, options, partial(print, flush=True))
