"""The caller's sound on its way to the recogniser, heard by Moshi too."""

from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io


class Overheard(io.AudioInput):
    """Passes on what comes from `source`, and calls `hear` with each frame."""

    def __init__(self, source: io.AudioInput, hear: Callable[[rtc.AudioFrame], None]) -> None:
        super().__init__(label="moshi.Overheard", source=source)
        self._hear = hear

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        self._hear(frame)
        return frame
