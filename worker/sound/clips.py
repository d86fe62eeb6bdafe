"""Recordings that are played to callers in the model's place. `deploy/clips.sh` makes them."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.caller import sound_files

FOLDER = Path(__file__).parent / "recordings"


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of any format that FFmpeg reads."""

    path: Path = field(repr=False)

    @property
    def frames(self) -> tuple[bytes, ...]:
        """PCM s16le mono 24 kHz [FRAME_SAMPLES] each, silence at the end. Raises AudioFileError."""
        return _frames(self.path)


ONE_MOMENT = Clip(FOLDER / "one-moment.wav")
ANEW = Clip(FOLDER / "anew.wav")
GOODBYE = Clip(FOLDER / "goodbye.wav")
DISCLOSURE = Clip(FOLDER / "disclosure.wav")
RECORDED = Clip(FOLDER / "recorded.wav")


@cache
def _frames(path: Path) -> tuple[bytes, ...]:
    pcm = sound_files.read(path, SAMPLE_RATE)
    padded = np.pad(pcm, (0, -len(pcm) % FRAME_SAMPLES)).astype("<i2")
    return tuple(frame.tobytes() for frame in padded.reshape(-1, FRAME_SAMPLES))
