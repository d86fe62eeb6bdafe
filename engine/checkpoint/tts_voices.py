"""Voices of models that read aloud: a folder of files as Kyutai publishes them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.checkpoint.load import Model
from engine.errors import CheckpointError, SessionError, SettingError, VoiceError
from engine.models.config import ConditionsConfig

log = logging.getLogger(__name__)

_SUFFIX = ".safetensors"
_KEY = "speaker_wavs"
_SHOWN = 8


@dataclass(frozen=True, slots=True, eq=False)
class TtsVoice:
    """vectors: float32 [T, D], what the model hears of somebody, D as its configuration has it."""

    name: str
    vectors: Tensor

    @classmethod
    def read(cls, name: str, path: Path, config: ConditionsConfig) -> "TtsVoice":
        """A published file: `speaker_wavs`, [1, D, T]. Raises VoiceError where it holds anything else."""
        try:
            held = load_file(path)
        except (SafetensorError, OSError) as error:
            raise VoiceError(f"{path}: not readable as safetensors ({error})") from None
        if _KEY not in held:
            raise VoiceError(f"{path}: no voice for text to speech: it has no tensor '{_KEY}'")
        tensor = held[_KEY]
        if (
            tensor.dim() != 3
            or len(tensor) != 1
            or tensor.shape[1] != config.voice_dim
            or not tensor.shape[2]
        ):
            raise VoiceError(
                f"{path}: '{_KEY}' is {list(tensor.shape)}, and this model takes [1, {config.voice_dim}, N]; "
                "take the voices that were made for it"
            )
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise VoiceError(f"{path}: '{_KEY}' has values that are no numbers; fetch the file again")
        return cls(name, tensor[0].T.float().contiguous())


def load_voices(folder: Path, model: Model) -> dict[str, TtsVoice]:
    """The voices below `folder` by name, the path of a file without `.safetensors` and the mark of its model.

    What is marked for another model is passed over. Raises SettingError for a folder that is none, or a file
    that is no voice; CheckpointError for a model that takes none.
    """
    config = model.lm.config.conditions
    if model.tts is None or config is None:
        raise CheckpointError(f"{model.name}: no model for text to speech, and no voices are for it")
    if not folder.is_dir():
        raise SettingError(f"{folder}: no such folder; give the one that holds the voices")
    voices: dict[str, TtsVoice] = {}
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        file = path.relative_to(folder)
        name = _name(file, model.tts.tag)
        if name is None or any(part.startswith(".") for part in file.parts):
            continue
        if name in voices:
            raise SettingError(f"{path}: there are two voices of this name; take one of the files away")
        try:
            voices[name] = TtsVoice.read(name, path, config)
        except VoiceError as fault:
            raise SettingError(str(fault)) from None
    log.info("voices for text to speech", extra={"voices": len(voices)})
    return voices


def voice_named(voices: Mapping[str, TtsVoice], name: str | None) -> TtsVoice | None:
    """The voice that a client asks for; None for none. Raises SessionError for one that is not there."""
    if not name:
        return None
    if name not in voices:
        some = ", ".join(list(voices)[:_SHOWN]) or "none"
        more = f" and {len(voices) - _SHOWN} more" if len(voices) > _SHOWN else ""
        raise SessionError(f"no voice '{name:.100}': this engine has {some}{more}")
    return voices[name]


def _name(file: Path, tag: str) -> str | None:
    """What a file's voice is called; None for a file of another model."""
    name = file.as_posix().removesuffix(_SUFFIX)
    whole, dot, mark = name.rpartition(".")
    if not dot or "@" not in mark:
        return name
    return whole if mark == tag else None
