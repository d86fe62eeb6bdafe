"""Which of the model's frames are played: those that the session has marked.

The framework asks for the gate before there is a session, and drops a frame that the gate rejects at once: a
gate cannot look at what comes next, but the session knows the words, which come before their sound.
"""

from livekit import rtc

from engine.level import level_db
from engine.protocol import Audio
from engine.step.frames import SAMPLE_RATE
from worker.signs.agent_state import SpeechDetector, State

SPOKEN = "moshi.spoken"
_SAMPLE_BYTES = 2


class Marker:
    """Turns answers into frames for the framework, each marked with whether it belongs to speech. Pure."""

    def __init__(self) -> None:
        self._speech = SpeechDetector()

    @property
    def speaks(self) -> bool:
        """Whether the last frame belonged to speech."""
        return self._speech.state is State.SPEAKING

    def word(self) -> None:
        """The model said a piece of a word: what follows is speech, however soft it begins."""
        self._speech.word()

    def frame(self, answer: Audio) -> rtc.AudioFrame:
        """The answer as a frame of the SDK."""
        self._speech.frame(level_db(answer.pcm))
        samples = len(answer.pcm) // _SAMPLE_BYTES
        return rtc.AudioFrame(answer.pcm, SAMPLE_RATE, 1, samples, userdata={SPOKEN: self.speaks})


class MarkGate:
    """An `AudioGate` of livekit-agents that remembers nothing."""

    def update(self, frame: rtc.AudioFrame) -> bool:
        """Whether the frame is to be played."""
        return bool(frame.userdata.get(SPOKEN, False))

    def deactivate(self) -> None:
        """There is nothing to forget."""
