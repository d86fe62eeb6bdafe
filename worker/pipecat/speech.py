"""What the model says as the frames of a bot that speaks now and then."""

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.utils.text.base_text_aggregator import TextType

from engine.level import level_db
from engine.protocol import Audio, Text
from engine.step.frames import SAMPLE_RATE
from worker.signs.agent_state import SpeechDetector, State


class Speech:
    """Turns the engine's answers into frames, between those that begin and end a stretch of speech. Pure.

    The silence between stretches gives no frames: an output transport that is behind catches up in it.
    """

    def __init__(self) -> None:
        self._detector = SpeechDetector()
        self._is_on = False
        self._has_words = False

    def word(self, word: Text) -> list[Frame]:
        """A piece of a word: what follows is speech, however soft it begins."""
        self._detector.word()
        # Pieces that begin a word begin with a space.
        piece = word.piece if self._has_words else word.piece.lstrip()
        self._has_words = True
        begun = self._begin()
        # RTVI shows the first to its clients; the second alone is for the context.
        told = LLMTextFrame(piece)
        told.append_to_context = False
        spoken = TTSTextFrame(piece, text_type=TextType.TOKEN)
        spoken.includes_inter_frame_spaces = True
        return [*begun, told, spoken]

    def sound(self, answer: Audio) -> list[Frame]:
        """80 ms of sound, if they belong to speech."""
        self._detector.frame(level_db(answer.pcm))
        if self._detector.state is State.SPEAKING:
            return [*self._begin(), TTSAudioRawFrame(answer.pcm, SAMPLE_RATE, 1)]
        return self.end()

    def end(self) -> list[Frame]:
        """What was begun is over."""
        return [TTSStoppedFrame(), LLMFullResponseEndFrame()] if self._stop() else []

    def interrupted(self) -> list[Frame]:
        """What was begun is over, as everybody knows by the interruption; what comes next begins anew."""
        return [TTSStoppedFrame()] if self._stop() else []

    def _begin(self) -> list[Frame]:
        if self._is_on:
            return []
        self._is_on = True
        return [LLMFullResponseStartFrame(), TTSStartedFrame()]

    def _stop(self) -> bool:
        was_on, self._is_on, self._has_words = self._is_on, False, False
        return was_on
