"""Moshi in LiveKit's AgentSession. Run it: python -m livekit.agents start examples/agent_session.py"""

import logging

from livekit.agents import Agent, AgentServer, AgentSession, ConversationItemAddedEvent, JobContext, room_io
from livekit.plugins import moshi

log = logging.getLogger("agent")
# Seats are the engine's. The load of this machine's processor, LiveKit's default, says nothing of them.
server = AgentServer(load_fnc=lambda: 0.0)
# The engine's frames are of 80 ms: sound in other pieces would wait for the rest of its frame.
HEARING = room_io.AudioInputOptions(frame_size_ms=80, pre_connect_audio=False, auto_gain_control=False)


def on_item(event: ConversationItemAddedEvent) -> None:
    """The chat context has grown."""
    log.info("%s: %s", event.item.type, getattr(event.item, "text_content", ""))


@server.rtc_session()
async def talk(ctx: JobContext) -> None:
    """One call."""
    session: AgentSession[None] = AgentSession(
        llm=moshi.MoshiDuplexModel(temperature=0.7),  # ENGINE_URL and ENGINE_TOKEN say where the engine is
        vad=None,  # Moshi decides for itself who speaks when
        turn_handling={"turn_detection": "realtime_llm"},
        aec_warmup_duration=None,  # else the caller is not heard while the agent speaks for the first time
    )
    session.on("agent_state_changed", lambda event: log.info("agent: %s", event.new_state))
    session.on("user_state_changed", lambda event: log.info("caller: %s", event.new_state))
    session.on("conversation_item_added", on_item)
    session.on("error", lambda event: log.error("error: %s", event.error.error))
    options = room_io.RoomOptions(audio_input=HEARING, text_input=False)
    await session.start(Agent(instructions=""), room=ctx.room, room_options=options, record=False)
