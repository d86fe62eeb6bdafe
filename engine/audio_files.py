"""Recordings: any file that soundfile reads becomes 24 kHz mono frames, and frames become a WAV."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from engine.errors import AudioFileError
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE


def read_frames(path: Path) -> NDArray[np.int16]:
    """A recording as int16 [T, 1920] at 24 kHz, padded with silence. Raises as `read_sound`."""
    pcm = (read_sound(path) * 32768).round().clip(-32768, 32767).astype(np.int16)
    return np.pad(pcm, (0, -len(pcm) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)


def read_sound(path: Path) -> NDArray[np.float32]:
    """A recording as float32 samples at 24 kHz, full scale 1: channels averaged, resampled.

    Raises AudioFileError for a file that is missing, empty or no recording.
    """
    try:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"cannot read {path}: {error}; give a WAV, FLAC, OGG or MP3 file") from None
    mono: NDArray[np.float32] = soxr.resample(sound.mean(axis=1), rate, SAMPLE_RATE, quality="VHQ")
    if not len(mono):
        raise AudioFileError(f"{path} holds no sound")
    return mono


def write_frames(path: Path, frames: NDArray[np.int16]) -> None:
    """Write int16 [T, 1920] as a WAV, 24 kHz mono. Raises AudioFileError if the file cannot be written."""
    try:
        soundfile.write(path, frames.reshape(-1), SAMPLE_RATE, subtype="PCM_16", format="WAV")
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"cannot write {path}: {error}") from None
