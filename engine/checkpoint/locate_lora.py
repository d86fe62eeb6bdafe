"""From the name of an adapter, or of the checkpoint that has one, to its file."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.checkpoint.config_keys import Keys
from engine.checkpoint.locate import Files, read_json, source_of
from engine.checkpoint.lora import FILE, USUAL_SCALING, Lora
from engine.errors import CheckpointError

log = logging.getLogger(__name__)


def own_lora(files: Files) -> Lora | None:
    """The adapter that a checkpoint names in its config.json. Raises `CheckpointError`."""
    name = files.lora.get("lora_name")
    if not name:
        return None
    if not isinstance(name, str) or not files.lora.get("lora", True):
        raise CheckpointError(
            f"{files.name}: config.json has 'lora_name' {name!r:.60} and 'lora' {files.lora.get('lora')!r}; "
            "give a file's name and true, or leave both out"
        )
    return _lora(files.source.fetch(name), files.lora)


def locate_lora(name: str) -> Lora:
    """The adapter `name`: a file, or a folder or a Hugging Face repository as moshi-finetune makes it.

    Rank and scaling are those of the config.json beside it. Raises `CheckpointError`.
    """
    path = Path(name).expanduser()
    if path.is_file():
        beside = path.parent / "config.json"
        return _lora(path, read_json(beside) if beside.exists() else None)
    try:
        source = source_of(name)
    except CheckpointError:
        raise CheckpointError(
            f"no adapter '{name}': give a safetensors file, a folder, a Hugging Face repository (owner/name)"
        ) from None
    config = source.config()
    raw = None if config is None else read_json(config)
    return _lora(source.fetch((raw or {}).get("lora_name") or FILE), raw)


def _lora(path: Path, raw: Mapping[str, Any] | None) -> Lora:
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: only safetensors files are read (others can run code); convert it first"
        )
    if raw is None:
        log.info("no config.json beside the adapter: taking the usual scaling", extra={"file": str(path)})
        return Lora(path)
    keys = Keys(f"{path.parent / 'config.json'}", raw)
    rank = int(keys.number("lora_rank", 0)) or None
    return Lora(path, rank, keys.number("lora_scaling", USUAL_SCALING))
