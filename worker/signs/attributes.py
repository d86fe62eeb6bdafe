"""What the agent tells a room about itself: attributes of its participant that any app can read.

Set them when the agent's state changes, never alone. `useAgent` of @livekit/components-react up to 2.9.20
takes those that changed for all there are: without `lk.agent.state` among them, apps end the call after 20 s.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from livekit import rtc

from worker.modes import Mode
from worker.signs import agent_state

log = logging.getLogger(__name__)

MODEL = "moshi.model"
MODEL_DELAY_MS = "moshi.model_delay_ms"
TEXT_INPUT = "moshi.text_input"
NOTICE = "moshi.notice"
TROUBLE = "moshi.trouble"
CALLER = "moshi.caller"
MODE = "moshi.mode"

NOTICE_TEXT = "You are talking to a machine: its voice and its words are made by a model, and may be wrong."


def at_once(notice: str = NOTICE_TEXT) -> dict[str, str]:
    """Those of a job that is accepted, before there is a session."""
    return {
        agent_state.ATTRIBUTE: agent_state.State.INITIALIZING.value,
        NOTICE: notice,
        TEXT_INPUT: "false",
    }


def of_mode(mode: Mode) -> dict[str, str]:
    """Those that depend on who answers: an LLM reads, too."""
    return {TEXT_INPUT: "false" if mode is Mode.MOSHI else "true", MODE: mode.value}


class Sign(Protocol):
    """Where something can be shown to everybody in a room."""

    def show(self, name: str, value: str) -> None:
        """Ask for an attribute to have this value."""

    def asked(self, name: str) -> str:
        """What an attribute was last asked to be."""
        ...


class Attributes:
    """Keeps the participant's attributes at the last values. What passes while they are set is skipped."""

    def __init__(self, participant: rtc.LocalParticipant, shown: Mapping[str, str]) -> None:
        self._participant = participant
        self._asked = dict(shown)
        self._to_set: dict[str, str] = {}
        self._changed = asyncio.Event()

    def show(self, name: str, value: str) -> None:
        """Ask for an attribute to have this value."""
        if self.asked(name) != value:
            self._asked[name] = self._to_set[name] = value
            self._changed.set()

    def asked(self, name: str) -> str:
        """What an attribute was last asked to be."""
        return self._asked.get(name, "")

    def show_again(self) -> None:
        """Who connects anew has only the attributes of their token."""
        self._to_set = dict(self._asked)
        self._changed.set()

    async def run(self) -> None:
        """Set what is asked for, all that has changed at once."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            changed, self._to_set = self._to_set, {}
            try:
                await self._participant.set_attributes(changed)
            except Exception:
                # The SDK has no narrower error. A sign that is wrong for a while must not end a call.
                log.warning("the agent's attributes could not be shown", exc_info=True)
