"""An operator's voices: a folder of converted ones and of recordings, each called as its file."""

import logging
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio_files import read_sound
from engine.errors import AudioFileError, SettingError, VoiceError
from engine.models.config import LMConfig
from engine.models.mimi import Mimi
from engine.persona.loudness import levelled, loudness
from engine.persona.voice import Voice
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE

log = logging.getLogger(__name__)

LUFS = -24.0
_RECORDINGS = (".wav", ".flac")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEAST_S, _MOST_S = 1.0, 60.0


def load_voices(folder: Path, config: LMConfig, mimi: Mimi) -> dict[str, Voice]:
    """The voices in `folder` by name: NAME.safetensors as `voices convert` writes them, NAME.wav, NAME.flac.

    Other files are passed over. Raises SettingError for a folder that is none, or a file that is no voice.
    """
    if not folder.is_dir():
        raise SettingError(f"ENGINE_VOICES={folder}: no such folder; give the one that holds the voices")
    voices: dict[str, Voice] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        kind = path.suffix.lower()
        if kind == ".pt":
            raise SettingError(
                f"{path}: a voice that only its converter reads: run `python -m engine voices convert {path} "
                f"--out {folder}`, and take the .pt away"
            )
        if kind != ".safetensors" and kind not in _RECORDINGS:
            continue
        if not _NAME.fullmatch(path.stem):
            raise SettingError(f"{path}: a voice is called by 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if path.stem in voices:
            raise SettingError(f"{path}: there are two voices of this name; take one of the files away")
        try:
            if kind in _RECORDINGS:
                voices[path.stem] = Voice.saying(encoded(recording(path), mimi), config)
            else:
                voices[path.stem] = Voice.read(path, config)
        except (VoiceError, AudioFileError) as fault:
            raise SettingError(str(fault)) from None
    log.info("voices", extra={"voices": ", ".join(voices)})
    return voices


def recording(path: Path) -> NDArray[np.float32]:
    """A recording of a voice, 24 kHz mono, as loud as the model was trained with. Raises VoiceError."""
    sound = read_sound(path).astype(np.float64)
    seconds = len(sound) / SAMPLE_RATE
    if not _LEAST_S <= seconds <= _MOST_S:
        raise VoiceError(f"{path}: {seconds:.1f} s long; take {_LEAST_S:g} to {_MOST_S:g} s of one voice")
    if loudness(sound, SAMPLE_RATE) == -np.inf:
        raise VoiceError(f"{path}: nothing is to be heard in it")
    return levelled(sound, SAMPLE_RATE, LUFS).astype(np.float32)


@torch.inference_mode()
def encoded(sound: NDArray[np.float32], mimi: Mimi) -> NDArray[np.int64]:
    """Codes int64 [8, N] of float32 samples, frame by frame as in a call, the last filled up with silence."""
    sound = np.pad(sound, (0, -len(sound) % FRAME_SAMPLES))
    frames = torch.from_numpy(sound).view(-1, 1, FRAME_SAMPLES).to(mimi.device)
    slots = torch.zeros(1, dtype=torch.int64, device=mimi.device)
    ears = mimi.new_ears(1)
    ears.reset(slots)
    codes = torch.cat([mimi.encode(frame, ears, slots, 8) for frame in frames])
    return codes.T.cpu().numpy()
