"""Which text a model that reads aloud is given at each step (`StateMachine` of the reference).

The model is not given the text in time with its speech. It says at each step whether the next word may
begin, and is then fed that word's tokens, one a step. Knows no tensor.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice

NEW_WORD, MAIN_SPEAKER, PAD = 0, 1, 3
FIRST_PADS = 2
"""Steps in which no word can begin, for the first would be cut."""
_MOST_PADS = 8
_NOTHING = -1


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its tokens, none of a pause. After the step that it begins at no other can for `padding`
    steps.
    """

    text: str
    tokens: tuple[int, ...]
    padding: int = 0


class TtsMachine:
    """The text of one session, of which more may come while it is read."""

    def __init__(self, entries: int, ahead: int) -> None:
        """entries: of the table of text tokens; ahead: how many words further the model is shown one as well,
        in a second stream that shares the input with the first; 0: it has none.
        """
        self._entries, self._ahead = entries, ahead
        self._words: deque[Word] = deque()
        self._complete = False
        self._own: deque[int] = deque()
        self._shown: deque[int] = deque()
        self._may_pad = self._must_pad = FIRST_PADS
        self._steps = 0
        self.ended_at: int | None = None

    @property
    def steps(self) -> int:
        """How many have been made."""
        return self._steps

    def add(self, word: Word) -> None:
        """What is to be read after all that is there."""
        assert not self._complete, "the text was said to be complete"
        self._words.append(word)

    def complete(self) -> None:
        """No more words come."""
        self._complete = True

    @property
    def ready(self) -> bool:
        """Whether the next step is the same whatever comes later: if a word can begin, those that are shown
        with it have to be there.
        """
        if self._complete or self._own or self._must_pad > 0:
            return True
        if self._words and not self._words[0].tokens:
            return True
        spoken = (word for word in self._words if word.tokens)
        return next(islice(spoken, self._ahead, None), None) is not None

    def step(self, predicted: int) -> tuple[int, Word | None]:
        """What the model is fed for the text token that it predicted, both streams in one, and the word that
        begins.
        """
        begun, token = None, self._choice(predicted)
        if token == NEW_WORD:
            begun, token = self._next_word()
        if token == PAD:
            self._may_pad = max(0, self._may_pad - 1)
            self._must_pad = max(0, self._must_pad - 1)
            token = self._own.popleft() if self._own else PAD
        self._steps += 1
        return self._with_second(token) if self._ahead else token, begun

    def _choice(self, predicted: int) -> int:
        if self._own or self._must_pad > 0:
            return PAD
        if self._may_pad == 0:
            return NEW_WORD
        return NEW_WORD if predicted == NEW_WORD else PAD

    def _next_word(self) -> tuple[Word | None, int]:
        """The word that begins, none if it is a pause or the text is over, and which token says so."""
        if not self._words:
            first = self.ended_at is None
            if first:
                self.ended_at = self._steps
            return None, NEW_WORD if first and self._ahead else PAD
        word = self._words.popleft()
        self._must_pad = word.padding
        if not word.tokens:
            return None, PAD
        self._own.extend(word.tokens)
        self._shown.extend(self._further())
        self._may_pad = _MOST_PADS
        return word, NEW_WORD

    def _further(self) -> tuple[int, ...]:
        """The tokens of the word that is shown with one that has just begun."""
        left = self._ahead
        for word in self._words:
            if word.tokens and left:
                left -= 1
                if not left:
                    return word.tokens
        return ()

    def _with_second(self, token: int) -> int:
        """`token` and that of the second stream, as an embedding with `demux` takes them apart."""
        second = _NOTHING
        if token == NEW_WORD:
            # That a word begins is told in the second stream: so its tokens can begin at once in the first.
            second = NEW_WORD
            token = self._own.popleft() if self._own else PAD
        elif self._shown:
            second = self._shown.popleft()
        return (second + 1) * self._entries + token
