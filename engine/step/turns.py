"""A device that several models share: their step threads use it one after the other."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """First come, first served: while another thread waits, nobody has two turns in a row."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._line: deque[object] = deque()

    @property
    def line(self) -> int:
        """How many threads have their turn or wait for it."""
        return len(self._line)

    @contextmanager
    def next(self) -> Iterator[bool]:
        """Wait for a turn, and have it within; whether it had to be waited for."""
        ticket = object()
        with self._changed:
            waits = bool(self._line)
            self._line.append(ticket)
            self._changed.wait_for(lambda: self._line[0] is ticket)
        try:
            yield waits
        finally:
            with self._changed:
                self._line.popleft()
                self._changed.notify_all()
