"""A session that is lost for a moment is told to nobody; one that is lost for longer is."""

import asyncio
from collections.abc import Callable

from engine.errors import EngineError, EngineFull, Refused
from worker.conversation.sentences import FULL, LOST

UNTOLD_S = 1.0
"""An interruption that is over sooner is not worth a word."""


class Interruption:
    """`begin` it with each error, and `end` it. tell: called with the sentence of an interruption that lasts,
    and again when it is of another kind; `first` says which of the two.
    """

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        self._tell = tell
        self._error: EngineError | None = None
        self._telling: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """Whether it has begun and not ended."""
        return self._error is not None

    def begin(self, error: EngineError) -> None:
        """There is no session, for this reason."""
        begins, self._error = self._error is None, error
        if begins:
            self._telling = asyncio.get_running_loop().call_later(UNTOLD_S, self._tell_first)
        elif self._telling is None:
            self._tell(_sentence(error), False)

    def end(self) -> None:
        """There is one, or there will be none."""
        self._error = None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _tell_first(self) -> None:
        self._telling = None
        assert self._error is not None
        self._tell(_sentence(self._error), True)


def _sentence(error: EngineError) -> str:
    return FULL if error.code in (EngineFull.code, Refused.code) else LOST
