"""What the microphone heard and the network has not taken yet."""

import asyncio

# Of the pieces that the card brings, 20 ms each: what waits longer would come back as lag for the whole call.
_MOST_PIECES = 25


class Microphone:
    """Pieces of PCM, oldest first. Made inside a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(_MOST_PIECES)

    def hear(self, pcm: bytes) -> None:
        """A piece, from the card's thread. Where too many wait, the oldest is dropped."""
        self._loop.call_soon_threadsafe(self._put, pcm)

    async def next(self) -> bytes:
        """The next piece, once there is one."""
        return await self._heard.get()

    def _put(self, pcm: bytes) -> None:
        if self._heard.full():
            self._heard.get_nowait()
        self._heard.put_nowait(pcm)
