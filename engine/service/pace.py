"""How fast one client may talk: in real time, and after a stall of its network faster for a while."""

import time
from collections.abc import Callable

from engine.errors import SessionError
from engine.service.rate_limit import RateLimit
from engine.step.frames import SAMPLE_RATE

_BYTES_PER_SECOND = 1.25 * 2 * SAMPLE_RATE
_BURST_BYTES = 10 * 2 * SAMPLE_RATE
_MESSAGES_PER_SECOND = 250.0
_BURST_MESSAGES = 2500.0


class Pace:
    """Both limits of one client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes = RateLimit(_BYTES_PER_SECOND, _BURST_BYTES, clock)
        self._messages = RateLimit(_MESSAGES_PER_SECOND, _BURST_MESSAGES, clock)

    def message(self) -> None:
        """A message has come. Raises SessionError when they come too fast."""
        if not self._messages.take(1):
            raise SessionError(
                f"more than {_MESSAGES_PER_SECOND:g} messages a second: send sound in pieces of 10 to 100 ms"
            )

    def sound(self, length: float) -> None:
        """So many bytes of PCM s16le have come. Raises SessionError when they come too fast."""
        if not self._bytes.take(length):
            raise SessionError("sound comes faster than real time: send 24000 samples (48000 bytes) a second")
