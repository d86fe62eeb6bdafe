"""What happens in a call, noted once: for its log line, for its span, and for the worker's counts."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

Fact = str | int | float | bool


class Event(StrEnum):
    """What may happen in a call."""

    JOINED = "joined"
    CALLER_CAME = "caller_came"
    SESSION_BEGAN = "session_began"
    FIRST_ANSWER = "first_answer"
    CALLER_AWAY = "caller_away"
    CALLER_BACK = "caller_back"
    ROOM_RECONNECTED = "room_reconnected"
    ENGINE_LOST = "engine_lost"
    RESUMED = "resumed"
    MOVED = "moved"
    BEGAN_ANEW = "began_anew"
    ENDED = "ended"


TROUBLES = (
    Event.CALLER_AWAY,
    Event.ROOM_RECONNECTED,
    Event.ENGINE_LOST,
    Event.RESUMED,
    Event.MOVED,
    Event.BEGAN_ANEW,
)
"""Those that a call may do without: its log line counts them."""

Reader = Callable[[Event, Mapping[str, Fact]], None]
"""Is told of each event, with its facts. Neither names a room or a person."""


class Diary:
    """Of one call. Its readers are told at once."""

    def __init__(self, *readers: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers = readers
        self._clock = clock
        self._counts: Counter[Event] = Counter()
        self._first_at: dict[Event, float] = {}

    def note(self, event: Event, **facts: Fact) -> None:
        """Something has happened."""
        self._counts[event] += 1
        self._first_at.setdefault(event, self._clock())
        for reader in self._readers:
            reader(event, facts)

    def note_first(self, event: Event, **facts: Fact) -> None:
        """The same, if it is for the first time."""
        if event not in self._first_at:
            self.note(event, **facts)

    def summary(self) -> dict[str, Fact]:
        """How long the first caller waited for the first answer, in ms, and how often what was in the way."""
        times = {str(event): self._counts[event] for event in TROUBLES if self._counts[event]}
        came_at, answered_at = map(self._first_at.get, (Event.CALLER_CAME, Event.FIRST_ANSWER))
        if came_at is None or answered_at is None:
            return dict(times)
        return {"first_answer_ms": round(1000 * max(0.0, answered_at - came_at)), **times}
