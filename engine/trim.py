"""How much of the answer to leave out, so that what a stall added to the lag does not stay for good.

A frame that comes late leaves a hole, and everything after the hole is played that much later. When it then
sits in the track's queue longer than it needs to, some of it can go, and silence is where nobody misses it.
"""

from collections import deque

from engine.level import SILENCE_DB
from engine.step.frames import FRAME_S, SAMPLE_RATE

REST_S = 0.020
"""Headroom that stays where frames come as they should: about the jitter of a healthy machine."""
MOST_S = 0.100
STEP_S = 0.020
"""More of it where holes repeat, less where there was none for CALM_S."""
CALM_S = 30.0
UNDERRUN_S = 0.010
"""A shorter hole is none: sound goes out in pieces of this length."""
LEAST_TRIM_S = 0.010
WATCHED_FRAMES = round(2.0 / FRAME_S)
_CALM_FRAMES = round(CALM_S / FRAME_S)


class PlayoutTrim:
    """Decides frame by frame. Pure: no clock, no track. `underruns` counts the holes."""

    def __init__(self, watched_frames: int = WATCHED_FRAMES) -> None:
        self.underruns = 0
        self.kept_s = REST_S
        self._since_underrun: int | None = None
        self._headroom: deque[float] = deque(maxlen=watched_frames)

    def samples_to_leave_out(self, ahead_s: float, level_db: float) -> int:
        """How many samples of the next frame not to play.

        `ahead_s`: the sound that is there besides it, queued or waiting; below 0, for how long there has been
        none. `level_db`: its level. Only what was there throughout the last seconds is too much: with less,
        the next late frame makes a hole again.
        """
        self._adapt(ahead_s)
        self._headroom.append(max(0.0, ahead_s))
        if len(self._headroom) < (self._headroom.maxlen or 0) or level_db > SILENCE_DB:
            return 0
        excess_s = min(min(self._headroom) - self.kept_s, FRAME_S)
        if excess_s < LEAST_TRIM_S:
            return 0
        self._headroom = deque((ahead - excess_s for ahead in self._headroom), self._headroom.maxlen)
        return round(excess_s * SAMPLE_RATE)

    def _adapt(self, ahead_s: float) -> None:
        if ahead_s <= -UNDERRUN_S:
            self.underruns += 1
            if self._since_underrun is not None:
                self.kept_s = min(MOST_S, self.kept_s + STEP_S)
            self._since_underrun = 0
        elif self._since_underrun is not None:
            self._since_underrun += 1
            if self._since_underrun == _CALM_FRAMES:
                self.kept_s = max(REST_S, self.kept_s - STEP_S)
                self._since_underrun = 0 if self.kept_s > REST_S else None
