"""`from livekit.plugins import moshi`: a plugin of livekit-agents. Its code is in `worker.plugin`."""

from importlib.metadata import version

from livekit.agents import Plugin

from worker.hybrid import Hybrid
from worker.plugin import (
    MoshiChunkedStream,
    MoshiDuplexModel,
    MoshiDuplexSession,
    MoshiSpeechStream,
    MoshiSynthesizeStream,
)
from worker.plugin import MoshiSTT as STT
from worker.plugin import MoshiTTS as TTS

__all__ = [
    "STT",
    "TTS",
    "Hybrid",
    "MoshiChunkedStream",
    "MoshiDuplexModel",
    "MoshiDuplexSession",
    "MoshiSpeechStream",
    "MoshiSynthesizeStream",
]
__version__ = version("moshi-live")


class _MoshiPlugin(Plugin):
    """Has nothing to download: the model is the engine's."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__)


Plugin.register_plugin(_MoshiPlugin())
