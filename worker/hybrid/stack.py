"""Recogniser, LLM, voice and tools of the ready-made worker, from its settings."""

from importlib.util import find_spec
from typing import Any

from livekit.agents import AgentSession, llm, stt, tts
from pydantic import SecretStr

from engine.errors import SettingError
from engine.protocol import ModelCard
from worker.modes import Mode
from worker.plugin.speech_to_text import MoshiSTT
from worker.plugin.text_to_speech import MoshiTTS
from worker.settings import WorkerSettings

NO_KEY = "none"
"""Servers of one's own want none; the client wants one."""
ANY = ModelCard("", 0, transcribes="any", speaks="any")
"""An engine that nobody has asked yet: it may have what is missing."""
_VOICE = "alloy"
_CLIENT = "livekit.plugins.openai"
_TOOLS = "livekit.agents.llm.mcp"


def check(settings: WorkerSettings, mode: Mode, engine: ModelCard | None) -> None:
    """Raises SettingError where calls of this mode cannot be had: what is missing, or what it does not do.

    engine: what it serves; None: there is none.
    """
    if mode is not Mode.PIPELINE and engine is None:
        raise SettingError(f"mode {mode} needs an engine, and there is none: set ENGINE_URL")
    if mode is Mode.MOSHI:
        return
    if missing(settings, engine):
        lacking = ", ".join(missing(settings, None if engine is ANY else engine))
        raise SettingError(f"mode {mode} needs {lacking}: see docs/hybrid.md")
    if settings.worker_recordings:
        raise SettingError(f"WORKER_RECORDINGS: no sound is kept of calls of mode {mode}; unset it")
    if find_spec(_CLIENT) is None:
        raise SettingError(f"mode {mode} needs livekit-plugins-openai: pip install 'moshi-live[hybrid]'")
    if settings.mcp_addresses and find_spec("mcp") is None:
        raise SettingError("WORKER_MCP_SERVERS needs mcp: pip install 'moshi-live[hybrid]'")


def missing(settings: WorkerSettings, engine: ModelCard | None) -> list[str]:
    """The names of what an LLM's answer needs, and is unset, but for what the engine has."""
    needed = ["worker_llm_url", "worker_llm_model"]
    if engine is None or engine.transcribes is None:
        needed.append("worker_stt_url")
    if engine is None or engine.speaks is None:
        needed.append("worker_tts_url")
    return [name.upper() for name in needed if not getattr(settings, name)]


def modules(settings: WorkerSettings) -> list[str]:
    """What such calls import, and takes seconds: better before the first of them than in it."""
    if not settings.worker_llm_url or find_spec(_CLIENT) is None:
        return []
    return [_CLIENT, _TOOLS] if settings.mcp_addresses else [_CLIENT]


def open_session(settings: WorkerSettings) -> AgentSession[Any]:
    """A session of models that are behind OpenAI's HTTP interface; recogniser and voice may be the engine's.

    `check` the settings first.
    """
    from livekit.plugins import openai

    return AgentSession(
        stt=_recogniser(settings),
        llm=openai.LLM(
            base_url=str(settings.worker_llm_url),
            api_key=_key(settings.worker_llm_key),
            model=settings.worker_llm_model,
        ),
        tts=_voice(settings),
        tools=_tools(settings),
        turn_handling={
            "turn_detection": "vad",
            "interruption": {"mode": "vad", "min_duration": 0.3},
            # What the voice takes goes by while it is not sure yet that the caller has finished.
            "preemptive_generation": {"preemptive_tts": True},
        },
        aec_warmup_duration=None,
    )


def _recogniser(settings: WorkerSettings) -> stt.STT[Any]:
    from livekit.plugins import openai

    if settings.worker_stt_url is None:
        return MoshiSTT(language=settings.worker_stt_language or "en")
    return openai.STT(
        base_url=settings.worker_stt_url,
        api_key=_key(settings.worker_stt_key),
        model=settings.worker_stt_model,
        language=settings.worker_stt_language or "en",
        detect_language=not settings.worker_stt_language,
    )


def _voice(settings: WorkerSettings) -> tts.TTS[Any]:
    from livekit.plugins import openai

    if settings.worker_tts_url is None:
        return MoshiTTS(voice=settings.worker_tts_voice or None)
    return openai.TTS(
        base_url=settings.worker_tts_url,
        api_key=_key(settings.worker_tts_key),
        model=settings.worker_tts_model,
        voice=settings.worker_tts_voice or _VOICE,
        # No time goes by for packing and unpacking.
        response_format="pcm",
    )


def _tools(settings: WorkerSettings) -> list[llm.Tool | llm.Toolset]:
    if not settings.mcp_addresses:
        return []
    from livekit.agents.llm import mcp

    return [
        mcp.MCPToolset(id=f"mcp-{number}", mcp_server=mcp.MCPServerHTTP(url))
        for number, url in enumerate(settings.mcp_addresses, start=1)
    ]


def _key(key: SecretStr | None) -> str:
    return key.get_secret_value() if key else NO_KEY
