"""What the two sockets of an engine have in common for somebody who calls them."""

from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Line(Protocol):
    """An open connection: pieces of a recording out, an answer for every frame back.

    `piece_s` is the sound in a piece; `model` what the engine says that it serves, "" if it does not.
    """

    piece_s: float
    model: str

    async def send(self, number: int) -> None:
        """The piece with this number. Lost if the connection is gone."""

    def answers(self) -> AsyncIterator[bytes]:
        """The sound of each frame's answer, still coded. Ends or raises EngineError with the call."""

    async def end(self) -> None:
        """Hang up."""

    def decoded(self, answers: list[bytes]) -> NDArray[np.int16]:
        """What was heard, int16 [N] at 24 kHz."""
