"""How long each stage of an answer took, from the end of what the caller said until they heard it."""

import logging
from collections.abc import Mapping

from livekit.agents import ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

log = logging.getLogger(__name__)

STAGES = {
    "transcription_delay": "transcript_ms",
    "end_of_turn_delay": "turn_ms",
    "llm_node_ttft": "first_token_ms",
    "tts_node_ttfb": "first_sound_ms",
    "e2e_latency": "heard_ms",
}
"""The framework's names, and ours: end of speech -> transcript; -> the turn is over; the LLM was asked -> its
first token; the voice was asked -> its first sound; end of speech -> the answer begins on the track."""


def milliseconds(measured: Mapping[str, object]) -> dict[str, int]:
    """What the framework has measured of a message, in our names; what it has not is left out."""
    return {
        ours: round(seconds * 1000)
        for theirs, ours in STAGES.items()
        if isinstance(seconds := measured.get(theirs), float)
    }


class TurnTimes:
    """`take` what is added to the chat context; each answer is a line in the log, without its words."""

    def __init__(self) -> None:
        self._caller: dict[str, int] = {}

    def take(self, event: ConversationItemAddedEvent) -> None:
        """A message of the caller, or the answer to it."""
        if not isinstance(event.item, ChatMessage):
            return
        times = milliseconds(event.item.metrics)
        if event.item.role == "user":
            self._caller = times
        elif event.item.role == "assistant":
            log.info("turn answered", extra=self._caller | times)
            self._caller = {}
