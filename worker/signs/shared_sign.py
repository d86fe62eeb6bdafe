"""One agent that has several conversations at once, and one set of attributes to show."""

from worker.signs import agent_state, attributes
from worker.signs.agent_state import State
from worker.signs.attributes import Sign

_MOST_ALIVE = (State.SPEAKING, State.LISTENING, State.IDLE, State.INITIALIZING)


class SharedSign:
    """Each conversation shows on a `part` of its own. What is wrong with one, the others need not see."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._parts: list[Part] = []

    def part(self) -> "Part":
        """For one more conversation."""
        self._parts.append(Part(self))
        return self._parts[-1]

    def remove(self, part: "Part") -> None:
        """A conversation is over."""
        self._parts.remove(part)
        self.show_state()

    def show(self, name: str, value: str) -> None:
        """An attribute that is the same for all of them."""
        self._sign.show(name, value)

    def show_state(self) -> None:
        """It speaks while it does to anybody."""
        states = {part.asked(agent_state.ATTRIBUTE) for part in self._parts}
        for state in _MOST_ALIVE:
            if state in states:
                self._sign.show(agent_state.ATTRIBUTE, state)
                return


class Part:
    """What one conversation shows."""

    def __init__(self, whole: SharedSign) -> None:
        self._whole = whole
        self._asked: dict[str, str] = {}

    def show(self, name: str, value: str) -> None:
        """Ask for an attribute to have this value."""
        self._asked[name] = value
        if name == agent_state.ATTRIBUTE:
            self._whole.show_state()
        elif name != attributes.TROUBLE:
            self._whole.show(name, value)

    def asked(self, name: str) -> str:
        """What an attribute was last asked to be."""
        return self._asked.get(name, "")
