"""From the tokens of speech to text to words and their times.

As Kyutai's own scripts read them (delayed-streams-modeling, `stt_from_file_pytorch.py`): a word's pieces come
one after the other, padding follows, and the last padding before a word is a token of its own.
"""

from collections.abc import Callable, Iterator, Sequence

from engine.transcript_protocol import Word, WordEnd

LAST_WORD_S = 1.0
"""How long the last word is at most, after which no other begins."""


class Words:
    """One speaker's. Times are seconds of sound.

    boundary: the token that comes before a word; piece: what a token adds, with its leading space, "" for
    padding; text: a whole word.
    """

    def __init__(
        self, boundary: int, piece: Callable[[int], str], text: Callable[[Sequence[int]], str]
    ) -> None:
        self._boundary = boundary
        self._piece = piece
        self._text = text
        self._tokens: list[int] = []
        self._began_s = 0.0
        self._is_open = False

    def take(self, token: int, time_s: float) -> Iterator[Word | WordEnd]:
        """What is known with the next token, whose frame the model was trained to see at `time_s`."""
        piece = self._piece(token)
        if not piece or piece.startswith(" "):
            yield from self._tell()
        if piece and not self._tokens:
            # Words in quick succession have no boundary between them.
            yield from self._end(time_s)
            self._began_s = time_s
        if piece:
            self._tokens.append(token)
        elif token == self._boundary:
            yield from self._end(time_s)

    def finish(self, time_s: float) -> Iterator[Word | WordEnd]:
        """What is known when nothing comes any more."""
        yield from self._tell()
        yield from self._end(min(time_s, self._began_s + LAST_WORD_S))

    def _tell(self) -> Iterator[Word]:
        text = self._text(self._tokens) if self._tokens else ""
        self._tokens = []
        if text:
            self._is_open = True
            yield Word(text, round(self._began_s, 3))

    def _end(self, time_s: float) -> Iterator[WordEnd]:
        if self._is_open:
            self._is_open = False
            yield WordEnd(round(max(time_s, self._began_s), 3))
