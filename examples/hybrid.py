"""Moshi answers at once, an LLM with tools answers well: python -m livekit.agents start examples/hybrid.py"""

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, function_tool, room_io
from livekit.plugins import moshi
from livekit.plugins.openai import LLM, STT, TTS

server = AgentServer(load_fnc=lambda: 0.0)
# Servers that speak OpenAI's HTTP interface: Ollama or vLLM, Speaches or another Whisper, a voice of yours.
LLM_URL = os.environ.get("LLM_URL", "http://127.0.0.1:11434/v1")
STT_URL = os.environ.get("STT_URL", "http://127.0.0.1:8000/v1")
TTS_URL = os.environ.get("TTS_URL", STT_URL)
KEY = os.environ.get("OPENAI_API_KEY", "none")
HEARING = room_io.AudioInputOptions(frame_size_ms=20, pre_connect_audio=False, auto_gain_control=False)


class Assistant(Agent):
    """What it is told, and what it can do."""

    def __init__(self) -> None:
        super().__init__(instructions="You help on the phone. Answer in one or two short sentences.")

    @function_tool
    async def weather(self, city: str) -> str:
        """What the weather is like in a city."""
        return f"In {city} it is twelve degrees, and it rains."


@server.rtc_session()
async def talk(ctx: JobContext) -> None:
    """One call."""
    session: AgentSession[None] = AgentSession(
        stt=STT(base_url=STT_URL, api_key=KEY, model="Systran/faster-whisper-small"),
        llm=LLM(base_url=LLM_URL, api_key=KEY, model="llama3.2"),
        tts=TTS(base_url=TTS_URL, api_key=KEY, model="tts-1", voice="alloy", response_format="pcm"),
        turn_handling={
            "turn_detection": "vad",
            "interruption": {"mode": "vad", "min_duration": 0.3},
            "preemptive_generation": {
                "preemptive_tts": True
            },  # the voice is asked before the turn is over, too
        },
        aec_warmup_duration=None,  # else nobody can interrupt the agent while it speaks for the first time
    )
    hybrid = moshi.Hybrid(moshi.MoshiDuplexModel())  # ENGINE_URL and ENGINE_TOKEN say where the engine is
    options = room_io.RoomOptions(audio_input=HEARING)
    await hybrid.start(session, Assistant(), room=ctx.room, room_options=options, record=False)
