"""What caller and LLM have said in a call, for its transcript file."""

from livekit.agents import ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

from worker.keeping.transcript_file import TranscriptFile, Who

_WHO = {"user": Who.CALLER, "assistant": Who.ANSWER}


class Written:
    """`take` what is added to the chat context: of answers, what was heard of them."""

    def __init__(self, file: TranscriptFile) -> None:
        self._file = file

    def take(self, event: ConversationItemAddedEvent) -> None:
        """A message of the caller's, or the answer to it; others are nobody's words."""
        item = event.item
        if isinstance(item, ChatMessage) and item.role in _WHO and item.text_content:
            self._file.line(_WHO[item.role], item.text_content, item.created_at)
