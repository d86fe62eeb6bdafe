"""Moshi for people's own `AgentSession` of livekit-agents: a full-duplex model, and speech to text."""

from worker.plugin.model import MoshiDuplexModel
from worker.plugin.session import MoshiDuplexSession
from worker.plugin.speech_to_text import MoshiSpeechStream, MoshiSTT

__all__ = ["MoshiDuplexModel", "MoshiDuplexSession", "MoshiSTT", "MoshiSpeechStream"]
