"""Moshi for people's own `AgentSession` of livekit-agents: a full-duplex model, speech to text and back."""

from worker.plugin.model import MoshiDuplexModel
from worker.plugin.session import MoshiDuplexSession
from worker.plugin.speech_to_text import MoshiSpeechStream, MoshiSTT
from worker.plugin.text_to_speech import MoshiChunkedStream, MoshiSynthesizeStream, MoshiTTS

__all__ = [
    "MoshiChunkedStream",
    "MoshiDuplexModel",
    "MoshiDuplexSession",
    "MoshiSTT",
    "MoshiSpeechStream",
    "MoshiSynthesizeStream",
    "MoshiTTS",
]
