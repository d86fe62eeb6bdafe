"""Moshi for people's own `AgentSession` of livekit-agents: a full-duplex model and its sessions."""

from worker.plugin.model import MoshiDuplexModel
from worker.plugin.session import MoshiDuplexSession

__all__ = ["MoshiDuplexModel", "MoshiDuplexSession"]
