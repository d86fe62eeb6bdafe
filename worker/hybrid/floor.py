"""Who is heard: the rules of a conversation with two speakers, Moshi at once and the LLM's answer after it.

Each rule is a function of the scene as it is now.
"""

from dataclasses import dataclass
from enum import StrEnum

BRIDGE_S = 2.0
"""For so long Moshi may speak while an answer is on its way: a reaction, and not an answer of its own."""
FADE_S = 0.02
"""From silence to full. Faster is heard as a click."""
HANDOVER_S = 0.1
"""In which Moshi falls silent where the answer begins: both are heard, and no word ends within a sample."""
DUCKED = 0.2
"""The answer's gain while the caller speaks into it, until they stop it or are silent again: -14 dB."""


class Answer(StrEnum):
    """What there is of an answer: nothing; it is being made; it is heard; it waits for the caller."""

    NONE = "none"
    COMING = "coming"
    PLAYING = "playing"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment. `coming_s`: for how long an answer has been on its way. `moshi_goes_on`: whether Moshi is
    in the middle of a sentence.
    """

    answer: Answer = Answer.NONE
    coming_s: float = 0.0
    caller_speaks: bool = False
    moshi_goes_on: bool = False


def moshi_is_heard(scene: Scene, before: bool, bridge_s: float = BRIDGE_S) -> bool:
    """Moshi has the floor while nobody has an answer, and a while longer.

    Who was silenced in the middle of a sentence is heard again with the next one. before: whether Moshi was
    heard a moment ago.
    """
    match scene.answer:
        case Answer.PLAYING | Answer.HELD:
            return False
        case Answer.COMING if scene.coming_s >= bridge_s:
            return False
    return before or not scene.moshi_goes_on


def answer_gain(scene: Scene) -> float:
    """An answer is full, and low where the caller speaks into it; one that is held is silent."""
    if scene.answer is Answer.HELD:
        return 0.0
    return DUCKED if scene.caller_speaks else 1.0
