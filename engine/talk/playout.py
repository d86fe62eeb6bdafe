"""What the speakers play next, between the network that brings it and the sound card that takes it."""

from threading import Lock

from engine.level import level_db
from engine.step.frames import SAMPLE_RATE
from engine.trim import PlayoutTrim

_SAMPLE_BYTES = 2
_BYTES_PER_S = SAMPLE_RATE * _SAMPLE_BYTES
LEAD_S = 0.040
_MOST_S = 1.0


class Playout:
    """PCM s16le, 24 kHz mono: `put` on the event loop, `take` on the card's thread.

    A frame that finds nothing queued is played LEAD_S late, so that the next one may be that late without a
    hole.
    """

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._trim = PlayoutTrim()
        self._lock = Lock()

    def put(self, pcm: bytes) -> None:
        """Play this next. Without a card that takes it, the oldest is dropped."""
        with self._lock:
            if not self._waiting:
                self._waiting += bytes(_in_bytes(LEAD_S))
            ahead_s = len(self._waiting) / _BYTES_PER_S
            skip = self._trim.samples_to_leave_out(ahead_s, level_db(pcm))
            self._waiting += pcm[skip * _SAMPLE_BYTES :]
            del self._waiting[: -_in_bytes(_MOST_S)]

    def take(self, samples: int) -> bytes:
        """The next `samples`, silence where there are none."""
        wanted = samples * _SAMPLE_BYTES
        with self._lock:
            taken = bytes(self._waiting[:wanted])
            del self._waiting[:wanted]
        return taken.ljust(wanted, b"\0")


def _in_bytes(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE) * _SAMPLE_BYTES
