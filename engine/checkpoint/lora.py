"""LoRA adapters in the layout of moshi-finetune, fused into the weights as they are read."""

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.checkpoint.names import Piece, Shape, pieces, weight_sets
from engine.errors import CheckpointError

log = logging.getLogger(__name__)

FILE = "lora.safetensors"
"""What moshi-finetune calls it."""
USUAL_SCALING = 2.0

Fuse = Callable[[str, Tensor, torch.device], Tensor]
"""The tensor that is officially called so, with what the adapter adds to it there."""


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter: its file, and what its config.json says of it. rank: None where it says nothing."""

    path: Path
    rank: int | None = None
    scaling: float = USUAL_SCALING


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of a tensor W [out, in]: W + scaling * B A, with A [rank, in] and B [out, rank], where the
    file has both; with `whole` in the place of W, where it has that.
    """

    whole: Piece | None
    a: Piece | None
    b: Piece | None


def fusing(lora: Lora | None, wanted: Mapping[str, Shape], unused: str | None = None) -> Fuse:
    """For a model whose official tensors are `wanted`; without an adapter it changes nothing.

    Keys that begin with `unused` may be there. Sums are float32. Raises `CheckpointError` that names the file
    and the key, before anything is fused.
    """
    if lora is None:
        return lambda _name, tensor, _device: tensor
    try:
        file: Any = safe_open(lora.path, framework="pt")
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise CheckpointError(
            f"{lora.path}: damaged or not a safetensors file ({error}); fetch it again"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{lora.path}: cannot be read ({error})") from None
    shapes: dict[str, Shape] = {
        key: tuple(part.get_shape())
        for key, part in slices.items()
        if unused is None or not key.startswith(unused)
    }
    changes = _changes(lora, shapes, wanted)
    log.info("fusing an adapter", extra={"file": str(lora.path), "tensors": len(changes)})
    return lambda name, tensor, device: _fused(file, changes.get(name), tensor, lora.scaling, device)


def _fused(file: Any, change: _Change | None, weight: Tensor, scaling: float, device: torch.device) -> Tensor:
    if change is None:
        return weight
    if change.whole is not None:
        weight = change.whole.read(file)
    if change.a is None or change.b is None:
        return weight
    a, b = (half.read(file).to(device, torch.float32) for half in (change.a, change.b))
    # In float32 whatever the file is in: an adapter is small beside what it changes.
    return torch.addmm(weight.to(device, torch.float32), b, a, alpha=scaling)


def _changes(lora: Lora, shapes: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> dict[str, _Change]:
    """By the official names of what they change. Raises `CheckpointError` for all that does not fit."""
    if not any(".lora_A." in key for key in shapes):
        raise CheckpointError(f"{lora.path}: no key ends with .lora_A.weight: this is no LoRA adapter")
    sets = weight_sets(wanted)
    changes: dict[str, _Change] = {}
    for name, shape in wanted.items():
        whole, a, b = (pieces(key, shapes, sets) for key in (name, *_halves(name)))
        change = _Change(whole, a, b) if len(shape) == 2 else _Change(whole, None, None)
        if change != _Change(None, None, None):
            _check(lora, change, shapes, shape)
            changes[name] = change
    used = {piece.key for change in changes.values() for piece in (change.whole, change.a, change.b) if piece}
    foreign = sorted(shapes.keys() - used)
    if foreign:
        known = [key for name in wanted for key in (name, *_halves(name))]
        near = difflib.get_close_matches(foreign[0], known, n=1)
        hint = f" (near: '{near[0]}')" if near else ""
        raise CheckpointError(
            f"{lora.path}: key '{foreign[0]}' belongs to nothing in the model{hint}; {len(foreign)} such "
            "keys: take the model that the adapter was made for"
        )
    return changes


def _halves(name: str) -> tuple[str, str]:
    stem = name.removesuffix("weight")
    return f"{stem}lora_A.weight", f"{stem}lora_B.weight"


def _check(lora: Lora, change: _Change, shapes: Mapping[str, Shape], shape: Shape) -> None:
    """Raises `CheckpointError` for a change that does not fit a tensor of this shape."""
    if change.whole:
        _expect(lora, change.whole, shapes, shape)
    if change.a and change.b:
        out, into = shape
        rank = lora.rank or shapes[change.a.key][0] // change.a.parts
        _expect(lora, change.a, shapes, (rank, into))
        _expect(lora, change.b, shapes, (out, rank))
    elif half := change.a or change.b:
        raise CheckpointError(f"{lora.path}: '{half.key}' has no other half; the file is incomplete")


def _expect(lora: Lora, piece: Piece, shapes: Mapping[str, Shape], shape: Shape) -> None:
    expected = (shape[0] * piece.parts, *shape[1:])
    if shapes[piece.key] != expected:
        rank = f" with lora_rank {lora.rank}" if lora.rank and ".lora_" in piece.key else ""
        raise CheckpointError(
            f"{lora.path}: '{piece.key}' has shape {list(shapes[piece.key])}, and the model{rank} asks for "
            f"{list(expected)}; take the config.json that belongs to the adapter, and the model that it was "
            "made for"
        )
