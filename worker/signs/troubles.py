"""What goes wrong in a call, told to whoever is in it: in text, and in an attribute while it lasts."""

from collections.abc import Callable
from enum import StrEnum

from worker.signs import agent_state, attributes
from worker.signs.agent_state import State
from worker.signs.attributes import Sign


class Trouble(StrEnum):
    """What can be in the way of a conversation."""

    ENGINE = "engine"
    VOICE = "voice"
    MICROPHONE = "microphone"


class Troubles:
    """`moshi.trouble` is the sentence of the oldest trouble, empty when there is none.

    tell: puts a line into the transcript.
    """

    def __init__(self, sign: Sign, tell: Callable[[str], None]) -> None:
        self._sign = sign
        self._tell = tell
        self._now: dict[Trouble, str] = {}
        self._shown = ""
        self._state = State.INITIALIZING

    def begin(self, trouble: Trouble, sentence: str) -> None:
        """Something is wrong, or is wrong in another way than before."""
        if self._now.get(trouble) != sentence:
            self._now[trouble] = sentence
            self._tell(sentence)
            self._show()

    def end(self, trouble: Trouble, sentence: str = "") -> None:
        """It is well again. `sentence`: what is to be told of it, if it was wrong."""
        if self._now.pop(trouble, None) is not None:
            if sentence:
                self._tell(sentence)
            self._show()

    def tell_again(self) -> None:
        """Somebody has come who was not told."""
        for sentence in self._now.values():
            self._tell(sentence)

    def show_state(self, state: State) -> None:
        """Whether the agent listens or speaks, while nothing is wrong."""
        self._state = state
        self._show()

    def _show(self) -> None:
        sentence = next(iter(self._now.values()), "")
        if sentence == self._shown:
            if not sentence:
                self._sign.show(agent_state.ATTRIBUTE, self._state)
            return
        self._shown = sentence
        # Never alone: some apps take an agent whose attributes change without its state for a lost one.
        state = State.IDLE if sentence else self._state
        if state == self._sign.asked(agent_state.ATTRIBUTE):
            state = State.LISTENING if state is State.IDLE else State.IDLE
        self._sign.show(attributes.TROUBLE, sentence)
        self._sign.show(agent_state.ATTRIBUTE, state)
