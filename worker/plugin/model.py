"""Moshi as a model of livekit-agents: `AgentSession(llm=MoshiDuplexModel())`."""

import time
from collections.abc import Callable

from livekit.agents import llm

from worker.conversation.engine_link import PATIENCE_S
from worker.engine_choice import choose_engine
from worker.plugin.gate import MarkGate
from worker.plugin.session import MoshiDuplexSession


class MoshiDuplexModel(llm.DuplexModel):
    """A full-duplex model that an engine serves. Each session has a seat there for as long as it lasts.

    engine_url, engine_token, engine_peers: the engine, as ENGINE_URL, ENGINE_TOKEN and ENGINE_PEERS say where
    they are left out (environment, then `.env.local`). temperature to prompt: the session's parameters as in
    docs/protocol.md; left out, the engine's own, and a random seed. patience_s: how long a session is looked
    for, at the beginning or when it was lost, before the AgentSession is closed with an error.

    Raises SettingError for the engine's address, SessionError for a parameter out of its range.
    """

    def __init__(
        self,
        *,
        engine_url: str | None = None,
        engine_token: str | None = None,
        engine_peers: str | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        temperature_text: float | None = None,
        top_k_text: int | None = None,
        seed: int | None = None,
        voice: str | None = None,
        prompt: str | None = None,
        patience_s: float = PATIENCE_S,
        wall: Callable[[], float] = time.time,  # noqa: TID251  # the framework stamps its events with it
    ) -> None:
        super().__init__(
            capabilities=llm.DuplexCapabilities(user_transcription=False, auto_tool_reply_generation=False)
        )
        self._choice = choose_engine(
            "MoshiDuplexModel",
            {"engine_url": engine_url, "engine_token": engine_token, "engine_peers": engine_peers},
            {
                "temperature": temperature,
                "top_k": top_k,
                "temperature_text": temperature_text,
                "top_k_text": top_k_text,
                "seed": seed,
                "voice": voice,
                "prompt": prompt,
            },
        )
        self._patience_s = patience_s
        self._wall = wall
        self.name = "moshi"
        """What the engine calls the model, once a session has begun."""

    @property
    def model(self) -> str:
        """What the framework puts on metrics."""
        return self.name

    @property
    def provider(self) -> str:
        """Who serves it, on metrics too."""
        return "moshi"

    def audio_gate(self) -> llm.AudioGate:
        """Lets through what its sessions have marked as speech."""
        return MarkGate()

    def session(self) -> MoshiDuplexSession:
        """A conversation, which begins once it is configured. Inside a running event loop."""
        return MoshiDuplexSession(
            self, self._choice.open(), self._choice.wanted, patience_s=self._patience_s, wall=self._wall
        )

    async def aclose(self) -> None:
        """Nothing is open but the sessions, which the framework closes."""
