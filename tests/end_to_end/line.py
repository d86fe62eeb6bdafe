"""A line that can break: whoever uses it meets what a network that is gone does."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_REQUEST = re.compile(rb"(?:GET|POST) (\S+) HTTP/1.1\r\n")


class Line:
    """Carries TCP to a port of this machine from one of its own."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self.connections = 0
        """How many there have been."""
        self.asked: list[str] = []
        """What was asked for over it, where it is HTTP: paths with their queries."""
        self._to = to
        self._works = True
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator["Line"]:
        """One that works until it is cut, or the block is left."""
        line = cls(port)
        server = await asyncio.start_server(line._carry, "127.0.0.1", 0)
        line.port = server.sockets[0].getsockname()[1]
        try:
            yield line
        finally:
            server.close()
            line.cut()

    def cut(self) -> None:
        """Break what is on the line, and all that is begun until it is mended."""
        self._works = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let everybody through again."""
        self._works = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._works:
            writer.transport.abort()
            return
        self.connections += 1
        from_there, to_there = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, to_there}
        self._open |= ends
        await asyncio.gather(_pump(reader, to_there, self._note), _pump(from_there, writer))
        self._open -= ends

    def _note(self, data: bytes) -> None:
        if begins := _REQUEST.match(data):
            self.asked.append(begins[1].decode())


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    note: Callable[[bytes], None] = lambda _data: None,
) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            note(data)
            writer.write(data)
            await writer.drain()
    writer.close()
