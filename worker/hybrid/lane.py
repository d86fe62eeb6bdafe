"""The sound of one speaker that is still to be heard."""

from collections import deque

import numpy as np
from numpy.typing import NDArray


class Lane:
    """Samples, int16 mono 24 kHz, that are put at one end and taken at the other. Pure."""

    def __init__(self) -> None:
        self._parts: deque[NDArray[np.int16]] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, pcm: NDArray[np.int16]) -> None:
        """Samples that come after all others, int16 [N]."""
        self._parts.append(pcm)
        self._length += len(pcm)

    def take(self, samples: int) -> NDArray[np.int16]:
        """The next ones, int16 [samples] or fewer if there are fewer."""
        taken = []
        missing = max(0, min(samples, self._length))
        self._length -= missing
        while missing:
            part = self._parts.popleft()
            if len(part) > missing:
                self._parts.appendleft(part[missing:])
                part = part[:missing]
            taken.append(part)
            missing -= len(part)
        return np.concatenate(taken) if taken else np.zeros(0, np.int16)

    def clear(self) -> None:
        """Forget them."""
        self._parts.clear()
        self._length = 0
