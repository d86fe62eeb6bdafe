"""Recordings for a caller to play and to keep."""

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioFileError


def read(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """The sound of any file that FFmpeg reads, int16 mono [N] at `sample_rate` Hz. Raises AudioFileError."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
    try:
        with av.open(str(path)) as container:
            decoded = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    except (OSError, av.FFmpegError, IndexError) as error:
        raise AudioFileError(f"{path} is no recording that can be read: {error}") from None
    samples = [part.to_ndarray().reshape(-1) for part in (*decoded, *resampler.resample(None))]
    if not samples:
        raise AudioFileError(f"{path} holds no sound")
    return np.concatenate(samples).astype(np.int16)


def write(path: Path, pcm: NDArray[np.int16], sample_rate: int) -> None:
    """WAV, mono PCM16. `pcm`: int16 [N]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
