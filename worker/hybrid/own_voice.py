"""An answer as Moshi is to take it for its own words: frames on the engine's clock, when they are heard.

The engine's side of it is `engine/service/own_words.py`.
"""

import numpy as np
from numpy.typing import NDArray

from engine.protocol import OwnWords
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.hybrid.lane import Lane

LEAD = round(0.04 * SAMPLE_RATE)
"""Samples that wait when it begins: pieces come unevenly, and what is missing would be silence in the middle
of a word."""
MOST_BEHIND = round(0.4 * SAMPLE_RATE)
"""Samples that wait at most: a stall costs sound, or Moshi would speak later than it is heard."""


class OwnVoice:
    """Tell it what is heard of an answer, and `take` what Moshi says with each frame that it hears. Pure."""

    def __init__(self) -> None:
        self._sound = Lane()
        self._words: list[str] = []
        self._has_floor = self._says = False

    def play(self, pcm: NDArray[np.int16]) -> None:
        """An answer has the floor, and this is heard of it now, int16 [N]; [0] while it waits."""
        self._has_floor = True
        self._sound.put(pcm)
        if len(self._sound) > FRAME_SAMPLES + MOST_BEHIND:
            self._sound.take(len(self._sound) - FRAME_SAMPLES - MOST_BEHIND)
            # Nobody asks any more.
            self._says = False

    def word(self, text: str) -> None:
        """Words of it that begin now."""
        if self._has_floor:
            self._words.append(text)

    def end(self) -> None:
        """It was heard."""
        self._has_floor = False
        if not self._says and len(self._sound) >= 2 * FRAME_SAMPLES + LEAD:
            # Nobody has asked: who asks from now on was not there.
            self.stop()

    def stop(self) -> None:
        """The caller wants to hear no more of it, and Moshi has not said the rest."""
        self._sound.clear()
        self._words.clear()
        self._has_floor = self._says = False

    def take(self) -> OwnWords | None:
        """What Moshi says in its next frame: of an answer that waits, silence; None: what it likes."""
        if self._has_floor and not self._says and len(self._sound) < FRAME_SAMPLES + LEAD:
            return None
        pcm = self._sound.take(FRAME_SAMPLES)
        self._says = self._has_floor or len(pcm) > 0
        if not self._says:
            self._words.clear()
            return None
        words, self._words = "".join(self._words), []
        return OwnWords(np.pad(pcm, (0, FRAME_SAMPLES - len(pcm))).astype("<i2").tobytes(), words)
