"""When a sample of a recording was at somebody's mouth, and at somebody's ear.

A microphone gives sound away in pieces of 10 ms, and loudspeakers ask for it in such pieces, so that a sample
leaves 10 ms after it was said, and is heard up to 10 ms after it has arrived. A sound card's buffers come on
top: there are none here.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from load_tests.callers.recorded import PIECE_S, CallRecorded
from load_tests.measured import SOCKETS

CAPTURE_S = 0.01
PLAYOUT_S = 0.01
_JUDGED = round(0.5 / PIECE_S)


@dataclass(frozen=True, slots=True)
class Mouth:
    """out_at_s [P]: when each piece of the script left."""

    out_at_s: NDArray[np.float64]

    @classmethod
    def of(cls, recorded: CallRecorded) -> Self:
        """A microphone that was late stays late; a socket takes all at once, and is not late for long."""
        if recorded.kind in SOCKETS:
            due_at_s = recorded.due_at_s + PIECE_S * np.arange(len(recorded.out_at_s))
            return cls(np.asarray(due_at_s, np.float64))
        return cls(recorded.out_at_s)

    def at(self, script_s: float) -> float:
        """When this moment of the script was said."""
        piece = int(script_s / PIECE_S + 1e-9)
        return float(self.out_at_s[piece]) + script_s - piece * PIECE_S - CAPTURE_S


@dataclass(frozen=True, slots=True)
class Ear:
    """clock_s [M]: what to add to a moment of the sound to know when it came."""

    clock_s: NDArray[np.float64]

    @classmethod
    def of(cls, recorded: CallRecorded) -> "Ear":
        """That of a whole call."""
        return cls.of_arrivals(recorded.arrived_at_s)

    @classmethod
    def of_arrivals(cls, arrived_at_s: NDArray[np.float64]) -> "Ear":
        """By the pieces of each second that came soonest: what this process was late to notice is not lag.

        arrived_at_s [M]: when each piece of one stream came.
        """
        late_s = arrived_at_s - PIECE_S * np.arange(len(arrived_at_s))
        padded = np.pad(late_s, _JUDGED, constant_values=np.inf)
        return cls(np.lib.stride_tricks.sliding_window_view(padded, 2 * _JUDGED + 1).min(axis=1))

    def at(self, sound_s: float) -> float:
        """When this moment of what came back was heard."""
        piece = min(int(sound_s / PIECE_S + 1e-9), len(self.clock_s) - 1)
        # The first half of a piece had come 10 ms before it was whole.
        return float(self.clock_s[piece]) + sound_s - PLAYOUT_S

    def place(self, at_s: float) -> float:
        """Which moment of what came back was heard then; 0 before there was any."""
        heard_at_s = self.clock_s + PIECE_S * np.arange(len(self.clock_s)) - PLAYOUT_S
        piece = int(np.searchsorted(heard_at_s, at_s, side="right")) - 1
        return max(0.0, piece * PIECE_S)
