"""A checkpoint's files, brought to this machine before there is an engine that waits for them."""

from pathlib import Path

from engine.checkpoint.locate import locate
from engine.checkpoint.locate_lora import locate_lora, own_lora


def fetch(name: str, lora: str | None = None) -> list[Path]:
    """The files of checkpoint `name`, downloaded where needed; none of those that are made up (`random:...`).

    lora: as `load` has it. Raises CheckpointError.
    """
    if name.startswith("random:"):
        return []
    files = locate(name)
    adapter = own_lora(files) if lora is None else locate_lora(lora)
    return [files.lm(), files.mimi(), files.tokenizer(), *([adapter.path] if adapter else [])]
