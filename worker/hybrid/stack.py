"""Recogniser, LLM, voice and tools of the ready-made worker, from its settings."""

from typing import Any

from livekit.agents import AgentSession, llm
from pydantic import SecretStr

from engine.errors import SettingError
from worker.modes import Mode
from worker.settings import WorkerSettings

NO_KEY = "none"
"""Servers of one's own want none; the client wants one."""


def check(settings: WorkerSettings, mode: Mode) -> None:
    """Raises SettingError where calls of this mode cannot be had: what is missing, or what it does not do."""
    if mode is Mode.MOSHI:
        return
    if settings.lacks:
        raise SettingError(f"mode {mode} needs {', '.join(settings.lacks)}: see docs/hybrid.md")
    if settings.worker_transcripts or settings.worker_recordings:
        raise SettingError(
            f"WORKER_TRANSCRIPTS and WORKER_RECORDINGS: nothing is kept of calls of mode {mode}; unset them"
        )
    try:
        import livekit.plugins.openai  # noqa: F401  # others install it only for these modes
    except ImportError:
        raise SettingError(
            f"mode {mode} needs livekit-plugins-openai: pip install 'moshi-live[hybrid]'"
        ) from None


def open_session(settings: WorkerSettings) -> AgentSession[Any]:
    """A session of models that are behind OpenAI's HTTP interface. `check` the settings first."""
    from livekit.plugins import openai

    return AgentSession(
        stt=openai.STT(
            base_url=str(settings.worker_stt_url),
            api_key=_key(settings.worker_stt_key),
            model=settings.worker_stt_model,
            language=settings.worker_stt_language or "en",
            detect_language=not settings.worker_stt_language,
        ),
        llm=openai.LLM(
            base_url=str(settings.worker_llm_url),
            api_key=_key(settings.worker_llm_key),
            model=settings.worker_llm_model,
        ),
        tts=openai.TTS(
            base_url=str(settings.worker_tts_url),
            api_key=_key(settings.worker_tts_key),
            model=settings.worker_tts_model,
            voice=settings.worker_tts_voice,
            # No time goes by for packing and unpacking.
            response_format="pcm",
        ),
        tools=_tools(settings),
        turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad", "min_duration": 0.3}},
        aec_warmup_duration=None,
    )


def _tools(settings: WorkerSettings) -> list[llm.Tool | llm.Toolset]:
    if not settings.mcp_addresses:
        return []
    try:
        from livekit.agents.llm import mcp
    except ImportError:
        raise SettingError("WORKER_MCP_SERVERS needs mcp: pip install 'moshi-live[hybrid]'") from None
    return [
        mcp.MCPToolset(id=f"mcp-{number}", mcp_server=mcp.MCPServerHTTP(url))
        for number, url in enumerate(settings.mcp_addresses, start=1)
    ]


def _key(key: SecretStr | None) -> str:
    return key.get_secret_value() if key else NO_KEY
