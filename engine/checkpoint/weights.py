"""Fills modules from safetensors files, one tensor after the other."""

import difflib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.checkpoint.lora import Lora, fusing
from engine.checkpoint.names import Entry, Piece, Shape, pieces, weight_sets
from engine.errors import CheckpointError

log = logging.getLogger(__name__)


def allocate(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Gives a module on the meta device memory on `device`, unfilled; floats in `dtype`, 8-bit weights and
    their scales as they are.
    """
    for part in module.modules():
        for name, tensor in list(part.named_parameters(recurse=False)):
            kept = tensor.element_size() == 1 or name.endswith("_scb")
            memory = torch.empty_like(tensor, device=device, dtype=tensor.dtype if kept else dtype)
            setattr(part, name, nn.Parameter(memory, requires_grad=False))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.empty_like(buffer, device=device, dtype=dtype))


def fill(
    module: nn.Module,
    entries: Iterable[Entry],
    path: Path,
    unused: str | None = None,
    lora: Lora | None = None,
) -> None:
    """Reads every tensor of `module` from `path`, strictly: no key missing, none too many, every shape right.

    Keys that begin with `unused` may be there. The host never holds more than one tensor. lora: an adapter
    to fuse, before anything is rounded to 8 bits. Raises `CheckpointError` that names the file and the key.
    """
    if path.suffix not in (".safetensors", ".sft", ".sfts"):
        raise CheckpointError(
            f"{path}: only safetensors files are read (others can run code); convert it first"
        )
    targets = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    try:
        log.info("reading weights", extra={"file": str(path), "megabytes": path.stat().st_size >> 20})
        with safe_open(path, framework="pt") as file:
            _fill(targets, list(entries), file, path, unused, lora)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: damaged or not a safetensors file ({error}); fetch it again"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None


def _fill(
    targets: Mapping[str, Tensor],
    entries: list[Entry],
    file: Any,
    path: Path,
    unused: str | None,
    lora: Lora | None,
) -> None:
    keys: dict[str, Shape] = {}
    for key in file.keys():  # noqa: SIM118 (not a mapping)
        if unused is None or not key.startswith(unused):
            keys[key] = tuple(file.get_slice(key).get_shape())
    places = _places(entries, keys, path)
    fuse = fusing(lora, {name: shape for entry in entries for name, shape in entry.sources.items()}, unused)
    for entry in entries:
        if entry.target is None:
            continue
        target = targets[entry.target] if entry.row is None else targets[entry.target][entry.row]
        tensors = [places[name].read(file) for name in entry.sources]
        floating = entry.quantise is not None or target.is_floating_point()
        for name, tensor in zip(entry.sources, tensors, strict=True):
            _check_type(tensor, floating, path, places[name].key)
        fused = [fuse(name, part, target.device) for name, part in zip(entry.sources, tensors, strict=True)]
        tensor = entry.arrange(*fused)
        if entry.quantise is not None:
            tensor, scales = entry.quantise(tensor.to(target.device))
            whole = targets[f"{entry.target}_scb"]
            (whole if entry.row is None else whole[entry.row]).copy_(scales)
        target.copy_(tensor)


def _places(entries: list[Entry], keys: Mapping[str, Shape], path: Path) -> dict[str, Piece]:
    """Where each official tensor lies in the file, after all names and shapes have been checked."""
    wanted = {name: shape for entry in entries for name, shape in entry.sources.items()}
    sets = weight_sets(wanted)
    places: dict[str, Piece] = {}
    for name, shape in wanted.items():
        piece = pieces(name, keys, sets)
        if piece is None:
            raise CheckpointError(
                f"{path}: key '{name}' is missing; "
                "the file is incomplete, or of another model than config.json says"
            )
        expected = (shape[0] * piece.parts, *shape[1:])
        if keys[piece.key] != expected:
            raise CheckpointError(
                f"{path}: '{piece.key}' has shape {list(keys[piece.key])}, "
                f"and config.json asks for {list(expected)}"
            )
        places[name] = piece
    foreign = sorted(set(keys) - {piece.key for piece in places.values()})
    if foreign:
        near = difflib.get_close_matches(foreign[0], [*wanted], n=1)
        hint = ' (8-bit weights: config.json needs "quantize": true)' if foreign[0].endswith("_scb") else ""
        hint = hint or (f" (near: '{near[0]}')" if near else "")
        raise CheckpointError(
            f"{path}: key '{foreign[0]}'{hint} is not part of the model that config.json describes; "
            f"{len(foreign)} such keys: take the config.json that belongs to the file"
        )
    return places


def _check_type(tensor: Tensor, floating: bool, path: Path, key: str) -> None:
    if tensor.is_floating_point() != floating:
        wanted = "floating" if floating else "int8"
        raise CheckpointError(
            f"{path}: '{key}' is {str(tensor.dtype).removeprefix('torch.')}, expected {wanted} values; "
            '"quantize" in config.json must be true for 8-bit files and absent for others'
        )
