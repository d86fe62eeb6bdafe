"""Who may come in: seats in calls, and seats kept for a moment under an id. The only truth about a full
engine."""

import re
from collections.abc import Callable
from time import monotonic

from engine.errors import EngineFull, SessionError

MAX_TTL_S = 60.0
_SEAT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Seats:
    """`total` seats. Used from the event loop alone, so every method is atomic."""

    def __init__(self, total: int, clock: Callable[[], float] = monotonic) -> None:
        self.total = total
        self.in_calls = 0
        self._clock = clock
        self._expiries: dict[str, float] = {}

    @property
    def reserved(self) -> int:
        """How many seats are kept for a call that has not begun."""
        now = self._clock()
        self._expiries = {seat: expiry for seat, expiry in self._expiries.items() if expiry > now}
        return len(self._expiries)

    @property
    def free(self) -> int:
        """How many seats are neither in calls nor kept."""
        return self.total - self.in_calls - self.reserved

    def reserve(self, seat: str, ttl_s: float) -> None:
        """Keep a seat for `ttl_s` seconds; the same id again renews it. Raises EngineFull, SessionError."""
        if not _SEAT_ID.fullmatch(seat):
            raise SessionError("a seat's id has 1 to 128 characters of A-Z a-z 0-9 . _ -")
        if not 0 < ttl_s <= MAX_TTL_S:
            raise SessionError(f"ttl_s={ttl_s:g}: a seat is kept for up to {MAX_TTL_S:g} s")
        self.release(seat)
        self._check_free()
        self._expiries[seat] = self._clock() + ttl_s

    def release(self, seat: str) -> None:
        """Give a kept seat back; one that is not kept is no error."""
        self._expiries.pop(seat, None)

    def holds(self, seat: str | None) -> bool:
        """Whether a seat is kept under this id."""
        return self.reserved > 0 and seat in self._expiries

    def enter(self, seat: str | None) -> None:
        """Begin a call in the seat kept under `seat`, or in any free one. Raises EngineFull."""
        if seat is not None:
            self.release(seat)
        self._check_free()
        self.in_calls += 1

    def leave(self) -> None:
        """End a call."""
        self.in_calls -= 1

    def _check_free(self) -> None:
        if self.free <= 0:
            raise EngineFull(self.total, self.in_calls, self.reserved)
