"""What prompts leave behind in a session, kept in host memory: from the third caller of a voice and a role on
nobody waits for them to be run.
"""

from collections import OrderedDict

from engine.persona.prompt import Prompt
from engine.step.moves import HostCopy

Key = tuple[str | None, str | None]
_REMEMBERED = 10_000


class PromptCache:
    """States by voice and role, those that were used last in at most `most_bytes`. Used from the event loop
    alone.

    The first session of a prompt leaves nothing: of roles that are one caller's alone, each would cost a copy
    and push out what others begin with.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, HostCopy] = OrderedDict()
        self._coming: dict[Key, HostCopy] = {}
        self._asked: OrderedDict[int, None] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """What is kept takes so much."""
        return sum(_size(copy) for copy in self._kept.values())

    def ask(self, prompt: Prompt) -> HostCopy | None:
        """The state that a session with this prompt begins with; an empty one is to be filled by that
        session. None: it runs its prompt for itself.
        """
        if prompt.key in self._kept:
            self._kept.move_to_end(prompt.key)
            return self._kept[prompt.key]
        if not self._most_bytes or prompt.key in self._coming or not self._asked_before(prompt.key):
            return None
        self._coming[prompt.key] = HostCopy()
        return self._coming[prompt.key]

    def filled(self, copy: HostCopy) -> None:
        """A copy that was empty holds a state now."""
        keys = self._give_up(copy)
        if _size(copy) > self._most_bytes:
            return
        for key in keys:
            self._kept[key] = copy
        while self.nbytes > self._most_bytes:
            self._kept.popitem(last=False)

    def give_up(self, copy: HostCopy) -> None:
        """Nobody fills it any more."""
        self._give_up(copy)

    def forget(self, copy: HostCopy) -> None:
        """It could not be brought back."""
        for key in [key for key, kept in self._kept.items() if kept is copy]:
            del self._kept[key]

    def _asked_before(self, key: Key) -> bool:
        """Whether somebody has asked for it, as far as is known; from now on somebody has."""
        # Of two prompts with one hash, the first is copied out too early.
        asked = hash(key)
        known = asked in self._asked
        self._asked[asked] = None
        self._asked.move_to_end(asked)
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return known

    def _give_up(self, copy: HostCopy) -> list[Key]:
        keys = [key for key, coming in self._coming.items() if coming is copy]
        for key in keys:
            del self._coming[key]
        return keys


def _size(copy: HostCopy) -> int:
    return copy.snapshot.nbytes if copy.snapshot else 0
