"""One direction of a cable: when each packet comes out at the other end, if it does."""

import random
from dataclasses import dataclass

from load_tests.network.profile import Conditions


@dataclass(slots=True)
class Counts:
    """Packets of one direction."""

    passed: int = 0
    lost: int = 0
    overtaken: int = 0


class Lane:
    """Give it every packet in the order of sending. Times are seconds of one clock."""

    def __init__(self, conditions: Conditions, seed: int) -> None:
        self.counts = Counts()
        self._conditions = conditions
        self._random = random.Random(seed)
        self._losing = False
        self._free_at = 0.0
        self._latest = 0.0
        self._stall_at: float | None = None

    def change(self, conditions: Conditions) -> None:
        """From now on it does this."""
        self._conditions = conditions
        self._losing = False
        self._stall_at = None

    def arrival(self, now: float, size: int) -> float | None:
        """When a packet of `size` bytes that is sent `now` arrives; None if it is lost."""
        given = self._conditions
        left_at = self._through_rate(now, size)
        if left_at is None or self._lost():
            self.counts.lost += 1
            return None
        arrives = left_at + given.delay_ms / 1000
        if given.jitter_ms:
            arrives += self._random.expovariate(1000 / given.jitter_ms)
        arrives = self._after_stall(arrives)
        self.counts.passed += 1
        if self._happens(given.reorder_percent):
            self.counts.overtaken += 1
            return arrives + given.reorder_ms / 1000
        self._latest = max(self._latest, arrives)
        return self._latest

    def _through_rate(self, now: float, size: int) -> float | None:
        given = self._conditions
        if not given.rate_kbit:
            return now
        begins = max(now, self._free_at)
        if begins - now > given.queue_ms / 1000:
            return None
        self._free_at = begins + size * 8 / (1000 * given.rate_kbit)
        return self._free_at

    def _lost(self) -> bool:
        """Gilbert: a good state that loses nothing, a bad one that loses all."""
        share, burst = self._conditions.loss_percent / 100, self._conditions.loss_burst
        if share >= 1:
            return True
        changes = 1 / burst if self._losing else share / ((1 - share) * burst)
        if self._random.random() < changes:
            self._losing = not self._losing
        return self._losing

    def _after_stall(self, arrives: float) -> float:
        given = self._conditions
        if not (given.stall_every_s and given.stall_ms):
            return arrives
        if self._stall_at is None:
            self._stall_at = arrives + self._random.expovariate(1 / given.stall_every_s)
        while arrives >= self._stall_at + given.stall_ms / 1000:
            self._stall_at += given.stall_ms / 1000 + self._random.expovariate(1 / given.stall_every_s)
        return arrives if arrives < self._stall_at else self._stall_at + given.stall_ms / 1000

    def _happens(self, percent: float) -> bool:
        return self._random.random() < percent / 100
