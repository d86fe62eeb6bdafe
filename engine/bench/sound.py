"""What the sessions say."""

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_SAMPLES

_DIFFERENT_FRAMES = 8
_SPEECH_LEVEL = 2000


class Sound:
    """Noise at the level of speech: `sound[number]` is frame `number` of each session, int16 [B, 1920]."""

    def __init__(self, sessions: int) -> None:
        shape = (_DIFFERENT_FRAMES, sessions, FRAME_SAMPLES)
        noise = np.random.default_rng(0).normal(0, _SPEECH_LEVEL, shape)
        self._sessions = sessions
        self._frames: NDArray[np.int16] = noise.astype(np.int16)

    def __getitem__(self, number: int) -> NDArray[np.int16]:
        frame: NDArray[np.int16] = self._frames[number % _DIFFERENT_FRAMES]
        return frame

    def __len__(self) -> int:
        return self._sessions
