import math

from worker.signs.agent_state import HELD_FRAMES, SpeechDetector, State


def test_listens_until_there_is_something_to_hear() -> None:
    speech = SpeechDetector()
    for level in (-math.inf, -60.0, -45.0):
        speech.frame(level)
        assert speech.state is State.LISTENING
    speech.frame(-30.0)
    assert speech.state is State.SPEAKING


def test_a_word_is_speech_before_its_sound_comes() -> None:
    speech = SpeechDetector()
    speech.word()
    assert speech.state is State.SPEAKING


def test_a_short_pause_does_not_end_speech() -> None:
    speech = SpeechDetector()
    speech.frame(-30.0)
    for _ in range(5):
        for _ in range(HELD_FRAMES - 1):
            speech.frame(-math.inf)
        assert speech.state is State.SPEAKING
        speech.frame(-45.0)
    for _ in range(HELD_FRAMES):
        speech.frame(-math.inf)
    assert speech.state is State.LISTENING
