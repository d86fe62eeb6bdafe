"""The words of answers as the framework writes them: each when it is heard."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from livekit.agents import room_io
from livekit.agents.voice import io


class Words(io.TextOutput):
    """Calls `tell` with each piece of text, and passes it on."""

    def __init__(self, tell: Callable[[str], None], passed_to: io.TextOutput | None) -> None:
        super().__init__(label="moshi.Words", next_in_chain=passed_to)
        self._tell = tell

    async def capture_text(self, text: str) -> None:
        """Some words."""
        self._tell(text)
        if self.next_in_chain:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        """An answer is complete."""
        if self.next_in_chain:
            self.next_in_chain.flush()


def overhearing(options: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """What AgentSession.start takes, with `tell` called for the words of answers, if it writes any."""
    room = options.get("room_options") or room_io.RoomOptions()
    text = room.get_text_output_options()
    if text is None:
        return options
    text = replace(text, next_in_chain=Words(tell, text.next_in_chain))
    return options | {"room_options": replace(room, text_output=text)}
