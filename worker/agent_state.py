"""`lk.agent.state`: what an app shows while the model listens or speaks."""

import asyncio
import logging
from enum import StrEnum

from livekit import rtc

from worker.level import SILENCE_DB, SPEECH_DB

log = logging.getLogger(__name__)

ATTRIBUTE = "lk.agent.state"
HELD_FRAMES = 8


class State(StrEnum):
    """The values that LiveKit's apps know and a full-duplex model can be in."""

    INITIALIZING = "initializing"
    LISTENING = "listening"
    SPEAKING = "speaking"


class SpeechDetector:
    """Speaking from the first loud frame or word until nothing was heard or said for HELD_FRAMES. Pure."""

    def __init__(self) -> None:
        self._quiet_frames = HELD_FRAMES
        self.state = State.LISTENING

    def word(self) -> None:
        """The model said a piece of a word."""
        self._quiet_frames = 0
        self.state = State.SPEAKING

    def frame(self, level_db: float) -> None:
        """The model answered a frame with sound of this level."""
        speaking = self.state is State.SPEAKING
        if level_db > (SILENCE_DB if speaking else SPEECH_DB):
            self._quiet_frames = 0
            self.state = State.SPEAKING
        else:
            self._quiet_frames += 1
            if self._quiet_frames >= HELD_FRAMES:
                self.state = State.LISTENING


class StateSign:
    """Keeps the participant's attribute at the last state. What passes while it is being set is skipped."""

    def __init__(self, participant: rtc.LocalParticipant) -> None:
        self._participant = participant
        self._shown = State.INITIALIZING
        self._changed = asyncio.Event()

    def show(self, state: State) -> None:
        """Ask for `state` to be shown."""
        if state is not self._shown:
            self._shown = state
            self._changed.set()

    async def run(self) -> None:
        """Set the attribute whenever it is to change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._participant.set_attributes({ATTRIBUTE: self._shown})
            except Exception:
                # The SDK has no narrower error. A sign that is wrong for a while must not end a call.
                log.warning("the agent's state could not be shown", exc_info=True)
