"""How many calls of mode `pipeline` are on: they have no seat of an engine, and are counted here."""

import math
import time
from collections.abc import Callable, Collection

COMING_S = 20.0
"""For so long a job that was accepted counts as one that is about to begin."""


class PipelineSeats:
    """`take` one for each job that is accepted. running: the ids of the jobs that are on.

    Pure but for that and the clock.
    """

    def __init__(
        self, running: Callable[[], Collection[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seats = 0
        """How many there are."""
        self._running = running
        self._clock = clock
        self._taken: dict[str, float] = {}

    @property
    def used(self) -> int:
        """How many are taken. One is free again when its job is over, or has not begun in COMING_S."""
        running, now = self._running(), self._clock()
        for job in list(self._taken):
            if job in running:
                # It has begun: when it is not on any more, it is over.
                self._taken[job] = -math.inf
            elif now - self._taken[job] >= COMING_S:
                del self._taken[job]
        return len(self._taken)

    def take(self, job: str) -> bool:
        """Whether this job has one from now on."""
        if self.used >= self.seats:
            return False
        self._taken[job] = self._clock()
        return True

    def give_back(self, job: str) -> None:
        """This job will not begin."""
        self._taken.pop(job, None)
