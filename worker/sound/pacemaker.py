"""The model's clock: a frame every 80 ms, whether its caller's sound comes or not.

A caller who is muted, or whose packets are lost, still sends frames: WebRTC's receiver makes silence of what
is missing. None come where there is no track: no microphone yet, or one that was taken back.
"""

import math

from engine.step.frames import FRAME_S

FIRST_S = 2.0
"""For so long the first sound of a caller who has just come may take."""
MISSING_S = 0.24
"""Sound that has not come for so long is missing. What comes sooner was late, and is heard."""
STALL_S = 0.04


class Pacemaker:
    """Says when a frame of silence is due, and which frame comes too late, in monotonic seconds. Pure."""

    def __init__(self) -> None:
        self.due_at = math.inf
        """When to ask whether the next frame is missing."""
        self._filled = False
        self._catching_up = False
        self._taken_at = -math.inf

    def expect(self, now: float) -> None:
        """Somebody is there who may speak."""
        self.due_at = now + FIRST_S

    def rest(self) -> None:
        """Nobody is there: time stands still."""
        self.due_at = math.inf

    def arrived(self, now: float) -> bool:
        """A frame is here. Whether it is to be heard: not if silence was, in its place."""
        if self._catching_up and now - self._taken_at < FRAME_S / 2:
            return False
        self._catching_up, self._filled = self._filled, False
        self._taken_at = now
        if self.due_at < math.inf:
            self.due_at = now + MISSING_S
        return True

    def is_missing(self, now: float) -> bool:
        """Whether a frame of silence is to be heard now."""
        if now < self.due_at:
            return False
        if now - self.due_at > STALL_S:
            # It is us who stood still, and what came meanwhile was not read yet.
            self.due_at = now + FRAME_S
            return False
        self.due_at += FRAME_S
        self._filled = True
        return True
