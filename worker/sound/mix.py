"""Several voices as one."""

from collections import deque

import numpy as np

MOST_WAITING = 2
"""Frames of a voice that wait for the leading one. More: that one has fallen silent, or behind."""


class Part:
    """One voice: its frames that are not in the mix yet."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()


class Mix:
    """One of the voices leads: whenever a frame of it comes, one of every other is mixed to it. Pure.

    All are played by one clock, that of WebRTC in this process, and so none drifts away from the leading one.
    """

    def __init__(self) -> None:
        self._voices: list[Part] = []

    def join(self) -> Part:
        """One voice more."""
        self._voices.append(Part())
        return self._voices[-1]

    def leave(self, voice: Part) -> None:
        """One less; the one that came next leads."""
        self._voices.remove(voice)

    def add(self, voice: Part, pcm: bytes) -> bytes | None:
        """A frame has come, PCM s16le mono, all of one length. The next frame of the mix, if it is time."""
        voice.waiting.append(pcm)
        if len(voice.waiting) > MOST_WAITING:
            self._voices.remove(voice)
            self._voices.insert(0, voice)
        if voice is not self._voices[0]:
            return None
        while len(voice.waiting) > 1:
            voice.waiting.popleft()
        frames = [each.waiting.popleft() for each in self._voices if each.waiting]
        if len(frames) == 1:
            return frames[0]
        total = sum(np.frombuffer(frame, "<i2").astype(np.int32) for frame in frames)
        return np.clip(total, -(1 << 15), (1 << 15) - 1).astype("<i2").tobytes()
