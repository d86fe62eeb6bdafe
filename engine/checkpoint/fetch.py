"""A checkpoint's files, brought to this machine before there is an engine that waits for them."""

from pathlib import Path

from engine.checkpoint.locate import locate


def fetch(name: str) -> list[Path]:
    """The files of checkpoint `name`, downloaded where needed; none of those that are made up (`random:...`).

    Raises CheckpointError.
    """
    if name.startswith("random:"):
        return []
    files = locate(name)
    return [files.lm(), files.mimi(), files.tokenizer()]
