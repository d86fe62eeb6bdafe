"""A caller's end of `/api/chat` as Moshi's own clients are: Ogg-Opus in pages of 40 ms."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import numpy as np
from numpy.typing import NDArray

from engine.connection import Connection
from engine.errors import EngineError, Refused
from engine.service.chat_query import CHAT_PATH
from engine.service.chat_wire import Kind
from engine.service.opus import OpusReader, OpusWriter
from engine.step.frames import SAMPLE_RATE

PIECE_S = 0.04
PATIENCE_S = 10.0
_SERIAL = 1


class NoSeatInTime(Refused):
    """The line is long."""

    def __init__(self) -> None:
        super().__init__(f"no seat within {PATIENCE_S:g} s: /api/chat lets its callers wait in a line")


class ChatLine:
    """What is said was coded before the call, so that coding takes no time of others. Made by `open`."""

    piece_s = PIECE_S
    model = ""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, engine: Connection, pages: list[bytes]
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._pages = pages

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str, pages: list[bytes]) -> AsyncIterator["ChatLine"]:
        """A call until the block is left, once there is a seat. pages: of `coded`.

        Raises EngineError: why there is none.
        """
        engine = Connection(url, "ENGINE_URL", token or None)
        try:
            async with engine.reaching():
                socket = await engine.http.ws_connect(engine.at(CHAT_PATH))
                line = cls(socket, engine, pages)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await line._greeted()
                except TimeoutError:
                    raise NoSeatInTime from None
            yield line
        finally:
            await engine.http.close()

    async def send(self, number: int) -> None:
        """A page behind its tag."""
        if not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_bytes(bytes([Kind.AUDIO]) + self._pages[number])

    async def answers(self) -> AsyncIterator[bytes]:
        """A page for every frame, the first behind the stream's headers."""
        async for message in self._messages():
            if message[0] == Kind.AUDIO:
                yield message[1:]
        raise self._engine.lost()

    async def end(self) -> None:
        """Hang up."""
        await self._socket.close()

    def decoded(self, answers: list[bytes]) -> NDArray[np.int16]:
        """The stream that all pages are."""
        reader = OpusReader()
        packets = [packet for page in answers for packet in reader.feed(page)]
        return np.frombuffer(reader.decode(packets), "<i2").astype(np.int16)

    async def _greeted(self) -> None:
        async for message in self._messages():
            if message[0] == Kind.HANDSHAKE:
                return
        raise self._engine.lost()

    async def _messages(self) -> AsyncIterator[bytes]:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            if message.data[0] == Kind.ERROR:
                raise EngineError(message.data[1:].decode())
            yield message.data


def coded(pcm: NDArray[np.int16]) -> list[bytes]:
    """A page for every PIECE_S of int16 [N] at 24 kHz."""
    piece = round(PIECE_S * SAMPLE_RATE)
    writer = OpusWriter(_SERIAL)
    whole = np.pad(pcm, (0, -len(pcm) % piece)).astype("<i2")
    return [writer.encode(each.tobytes()) for each in whole.reshape(-1, piece)]
