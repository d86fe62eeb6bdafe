"""A caller's end of `/v1/session`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from engine.client import EngineClient, EngineSession
from engine.errors import error_from_wire
from engine.protocol import Audio, Failure, SessionRequest
from engine.step.frames import SAMPLE_RATE


class SessionLine:
    """Pieces of `piece_s` seconds of `pcm`, int16 [N] at 24 kHz. Made by `open`."""

    def __init__(self, session: EngineSession, pcm: NDArray[np.int16], piece_s: float) -> None:
        self.piece_s = piece_s
        self.model = session.ready.model
        self._session = session
        self._sound = pcm.astype("<i2").tobytes()
        self._piece_bytes = 2 * round(piece_s * SAMPLE_RATE)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, token: str, pcm: NDArray[np.int16], piece_s: float
    ) -> AsyncIterator["SessionLine"]:
        """A session until the block is left. Raises EngineError: why there is none."""
        async with EngineClient(url, token or None) as engine:
            yield cls(await engine.open(SessionRequest()), pcm, piece_s)

    async def send(self, number: int) -> None:
        """PCM as it is."""
        begin = number * self._piece_bytes
        await self._session.send(self._sound[begin : begin + self._piece_bytes])

    async def answers(self) -> AsyncIterator[bytes]:
        """One for every frame."""
        async for event in self._session:
            if isinstance(event, Audio):
                yield event.pcm
            elif isinstance(event, Failure):
                raise error_from_wire({"error": event.code, "message": event.message})

    async def end(self) -> None:
        """The engine gives the seat away at once."""
        await self._session.end()

    def decoded(self, answers: list[bytes]) -> NDArray[np.int16]:
        """PCM as it is."""
        return np.frombuffer(b"".join(answers), "<i2").astype(np.int16)
