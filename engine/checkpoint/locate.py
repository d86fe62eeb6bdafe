"""From the name of a checkpoint to its files, downloaded where needed."""

import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError
from engine.parrot import CHECKPOINT as PARROT

log = logging.getLogger(__name__)

_LM_FILE = "model.safetensors"
_MIMI_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"
_TOKENIZER_FILE = "tokenizer_spm_32k_3.model"
_LORA_KEYS = ("lora", "lora_name", "lora_rank", "lora_scaling")
"""What config.json says of an adapter."""
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ACCEPTED = "'parrot', a folder, a Hugging Face repository (owner/name), 'random:moshi-7b' or 'random:tiny'"


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one checkpoint. `config` and `mimi_config` are None where the built-in ones hold."""

    name: str
    source: "Source"
    config: Mapping[str, Any] | None
    mimi_config: Mapping[str, Any] | None
    model_type: str
    lm_gen: Mapping[str, Any]
    stt: Mapping[str, Any]
    tts: Mapping[str, Any]
    model_id: Mapping[str, Any]
    lora: Mapping[str, Any]
    lm_name: str
    mimi_name: str
    tokenizer_name: str

    def lm(self) -> Path:
        """The language model's weights, downloaded if they are elsewhere."""
        return self.source.fetch(self.lm_name)

    def mimi(self) -> Path:
        """Mimi's weights, downloaded if they are elsewhere."""
        return self.source.fetch(self.mimi_name)

    def tokenizer(self) -> Path:
        """The text tokenizer, downloaded if it is elsewhere."""
        return self.source.fetch(self.tokenizer_name)


class Source(ABC):
    """Where the files of a checkpoint lie."""

    @abstractmethod
    def config(self) -> Path | None:
        """config.json; None where there is none."""

    @abstractmethod
    def own(self, name: str) -> Path:
        """The file `name` of the checkpoint itself."""

    @abstractmethod
    def like(self, pattern: str, usual: str) -> str:
        """The name of a file that the configuration leaves unsaid: `usual`, or one that is like `pattern`."""

    def fetch(self, name: str) -> Path:
        """The file `name` on this machine; `hf://owner/name/file` and `file://path` as upstream."""
        if name.startswith("hf://"):
            owner, repo, *rest = (*name.removeprefix("hf://").split("/"), "", "")
            if not any(rest):
                raise CheckpointError(f"config.json: {name} names no file; write hf://owner/name/file")
            # Here and below, for what is local can be loaded without the Hub's libraries.
            from engine.checkpoint.hub import download

            return download(f"{owner}/{repo}", "/".join(rest).rstrip("/"))
        path = Path(name.removeprefix("file://")) if name.startswith("file://") else self.own(name)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; put it there, or correct the name in config.json")
        return path


class Folder(Source):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def config(self) -> Path | None:
        """As `Source.config`."""
        path = self._path / "config.json"
        return path if path.exists() else None

    def own(self, name: str) -> Path:
        """As `Source.own`, whether it exists or not."""
        return self._path / name

    def like(self, pattern: str, usual: str) -> str:
        """As `Source.like`. Raises `CheckpointError` where several are."""
        if (self._path / usual).exists():
            return usual
        found = sorted(path.name for path in self._path.glob(pattern))
        if len(found) > 1:
            raise CheckpointError(
                f"{self._path}: {len(found)} files are like {pattern} ({', '.join(found[:3])}); "
                "name one in config.json"
            )
        return found[0] if found else usual


class Repository(Source):
    """A repository on the Hugging Face Hub."""

    def __init__(self, repo: str) -> None:
        self._repo = repo

    def config(self) -> Path | None:
        """As `Source.config`."""
        from engine.checkpoint.hub import download_if_there

        return download_if_there(self._repo, "config.json")

    def own(self, name: str) -> Path:
        """As `Source.own`, downloaded."""
        from engine.checkpoint.hub import download

        return download(self._repo, name)

    def like(self, pattern: str, usual: str) -> str:
        """`usual`: a repository's files are named as the released ones are."""
        return usual


def locate(name: str) -> Files:
    """The files of checkpoint `name`. Raises `CheckpointError` where something is missing."""
    source = source_of(name)
    path = source.config()
    if path is None:
        log.info("no config.json: taking the model for a Moshi 7B", extra={"checkpoint": name})
    raw = {} if path is None else read_json(path)
    lora = {key: raw.pop(key) for key in _LORA_KEYS if key in raw}
    if lora.get("lora") and not lora.get("lora_name"):
        raise CheckpointError(
            f"{name}: config.json has 'lora' and no 'lora_name': it is an adapter's; give this as "
            "ENGINE_LORA (--lora), and the model that it was made for as the checkpoint"
        )
    mimi_config = raw.pop("mimi_config", None)
    mimi_config_name = _text(raw, "mimi_config_name")
    if mimi_config is None and mimi_config_name is not None:
        mimi_config = read_json(source.fetch(mimi_config_name))
    lm_name = _text(raw, "moshi_name") or _LM_FILE
    mimi_name = _text(raw, "mimi_name") or source.like("tokenizer-*.safetensors", _MIMI_FILE)
    tokenizer_name = _text(raw, "tokenizer_name") or source.like("tokenizer_spm_*.model", _TOKENIZER_FILE)
    model_type = _text(raw, "model_type") or "moshi"
    lm_gen = raw.pop("lm_gen_config", None) or {}
    stt = raw.pop("stt_config", None) or {}
    tts = raw.pop("tts_config", None) or {}
    model_id = raw.pop("model_id", None) or {}
    raw.pop("version", None)
    return Files(
        name=name,
        source=source,
        config=raw or None,
        mimi_config=mimi_config,
        model_type=model_type,
        lm_gen=lm_gen,
        stt=stt,
        tts=tts,
        model_id=model_id,
        lora=lora,
        lm_name=lm_name,
        mimi_name=mimi_name,
        tokenizer_name=tokenizer_name,
    )


def source_of(name: str) -> Source:
    """Where the files of `name` lie. Raises `CheckpointError`."""
    if name == "parrot":
        return Folder(PARROT)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return Folder(folder)
    if name and folder.exists():
        raise CheckpointError(
            f"{name}: a file, not a folder; give the folder that holds config.json and the weights"
        )
    if _REPO_ID.fullmatch(name) and not name.startswith("."):
        return Repository(name)
    raise CheckpointError(f"no checkpoint '{name}': give {_ACCEPTED}")


def _text(raw: dict[str, Any], key: str) -> str | None:
    """Takes a key that is a string, null or missing."""
    value = raw.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise CheckpointError(f"config.json: '{key}' is {value!r:.60}; give a string, or leave it out")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises `CheckpointError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}); fetch the file again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected an object with keys; fetch the file again")
    return content
