"""What a session is to take for its own words: sound and text of any pace become one frame after another."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from engine.checkpoint import Model
from engine.errors import SessionError
from engine.step.frames import FRAME_S, OwnFrame

_MOST_FRAMES = 125
_MOST_TOKENS = 2000


@dataclass(frozen=True, slots=True)
class WordTokens:
    """How a model writes what it says: `encode` a text, one token a frame, and `padding` where there is none.

    The last padding before a word is `end_of_padding`.
    """

    encode: Callable[[str], Sequence[int]]
    padding: int
    end_of_padding: int

    @classmethod
    def of(cls, model: Model) -> Self | None:
        """None for a model that can be given no words: whose delays are not those of Moshi."""
        config = model.lm.config
        if config.max_delay != 1:
            return None
        return cls(model.tokenizer.tokens, config.text_padding_id, config.text_end_padding_id)


class OwnWords:
    """`put` what comes, `take` one frame for each of the caller's."""

    def __init__(self, tokens: WordTokens) -> None:
        self._tokens = tokens
        self._sound = deque[bytes]()
        self._text = deque[int]()
        self._in_a_word = False

    def put(self, sound: bytes, text: str, unheard: int) -> None:
        """One frame of PCM, and the words that begin about then.

        unheard: how many of the caller's frames still wait for theirs. Raises SessionError when more comes
        than is taken.
        """
        tokens = self._tokens.encode(text) if text.strip() else ()
        if len(self._sound) - unheard >= _MOST_FRAMES:
            raise SessionError(
                f"own words are {_MOST_FRAMES * FRAME_S:g} s ahead of the caller's sound: send one frame of "
                "them with each of the caller's"
            )
        if len(self._text) + len(tokens) > _MOST_TOKENS:
            raise SessionError(
                f"more than {_MOST_TOKENS} tokens of own words wait, and each takes a frame: send the words "
                "with the frames in which they begin"
            )
        self._sound.append(sound)
        self._text.extend(tokens)

    def take(self) -> OwnFrame | None:
        """What is said in the next frame; with None it is over, and what was not said is forgotten."""
        if not self._sound:
            self.clear()
            return None
        return OwnFrame(np.frombuffer(self._sound.popleft(), "<i2"), self._next_token())

    def clear(self) -> None:
        """Nothing is to be said any more."""
        self._sound.clear()
        self._text.clear()
        self._in_a_word = False

    def _next_token(self) -> int:
        if not self._text:
            self._in_a_word = False
            return self._tokens.padding
        if not self._in_a_word:
            self._in_a_word = True
            return self._tokens.end_of_padding
        return self._text.popleft()
