"""How much of the answer to leave out, so that what a stall added to the lag does not stay for good.

A frame that comes late leaves a hole, and everything after the hole is played that much later. When it then
sits in the track's queue longer than it needs to, some of it can go, and silence is where nobody misses it.
"""

from collections import deque

from engine.level import SILENCE_DB
from engine.step.frames import FRAME_S, SAMPLE_RATE

KEPT_S = 0.040
"""Headroom that stays: about the jitter of a healthy machine."""
LEAST_TRIM_S = 0.010
WATCHED_FRAMES = round(2.0 / FRAME_S)


class PlayoutTrim:
    """Decides frame by frame. Pure: no clock, no track."""

    def __init__(self, watched_frames: int = WATCHED_FRAMES) -> None:
        self._headroom: deque[float] = deque(maxlen=watched_frames)

    def samples_to_leave_out(self, ahead_s: float, level_db: float) -> int:
        """How many samples of the next frame not to play.

        `ahead_s`: the sound that is there besides it, queued or waiting; `level_db`: its level. Only what was
        there throughout the last seconds is too much: with less, the next late frame makes a hole again.
        """
        self._headroom.append(ahead_s)
        if len(self._headroom) < (self._headroom.maxlen or 0) or level_db > SILENCE_DB:
            return 0
        excess_s = min(min(self._headroom) - KEPT_S, FRAME_S)
        if excess_s < LEAST_TRIM_S:
            return 0
        self._headroom = deque((ahead - excess_s for ahead in self._headroom), self._headroom.maxlen)
        return round(excess_s * SAMPLE_RATE)
