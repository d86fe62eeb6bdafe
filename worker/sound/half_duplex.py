"""A guard against a model that hears itself: over a loudspeaker whose echo nobody takes out."""

import math

from engine.level import SILENCE_DB
from engine.step.frames import FRAME_S

HANGOVER_S = 0.4
"""From the end of what was played here until its echo in the caller's room has come back."""


class HalfDuplex:
    """While the agent can be heard, its caller is not. Times in monotonic seconds. Pure."""

    def __init__(self) -> None:
        self._from = math.inf
        self._until = -math.inf

    def played(self, level_db: float, begins_at: float) -> None:
        """A frame of this level is heard from `begins_at` on."""
        if level_db > SILENCE_DB:
            if begins_at > self._until:
                self._from = begins_at
            self._until = begins_at + FRAME_S + HANGOVER_S

    def hears(self, pcm: bytes, arrived_at: float) -> bytes:
        """The caller's frame, or silence in its place."""
        return bytes(len(pcm)) if self._from <= arrived_at <= self._until else pcm
