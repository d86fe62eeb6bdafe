"""`lk.agent.state`: what an app shows while the model listens or speaks."""

from enum import StrEnum

from engine.level import SILENCE_DB, SPEECH_DB

ATTRIBUTE = "lk.agent.state"
HELD_FRAMES = 8


class State(StrEnum):
    """The values that LiveKit's apps know and a full-duplex model can be in."""

    INITIALIZING = "initializing"
    IDLE = "idle"
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
