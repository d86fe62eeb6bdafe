"""Text tokens as the words that people read."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import sentencepiece

from engine.errors import CheckpointError

_FIRST_WORD, _WORDS = 4, 8


class Tokenizer(Protocol):
    """Turns one text token into its piece of text."""

    def piece(self, token: int) -> str:
        """What token `token` adds to the transcript, with its leading space; "" for padding."""

    def text(self, tokens: Sequence[int]) -> str:
        """A word of several tokens, none of them padding, without the space before it."""

    def tokens(self, text: str) -> list[int]:
        """A text as a model reads it."""


class SentencePieceTokenizer:
    """The pieces of an official `tokenizer_spm_*.model`; the tokens in `silent` are padding."""

    def __init__(self, path: Path, silent: Collection[int]) -> None:
        self._silent = frozenset(silent)
        try:
            self._processor = sentencepiece.SentencePieceProcessor(str(path))
        except (RuntimeError, OSError):
            raise CheckpointError(f"{path}: not a SentencePiece model; fetch the file again") from None

    @property
    def size(self) -> int:
        """How many pieces the file has."""
        size: int = self._processor.get_piece_size()
        return size

    def piece(self, token: int) -> str:
        """As `Tokenizer.piece`; tokens that the file lacks are silent."""
        if token in self._silent or not 0 <= token < self._processor.get_piece_size():
            return ""
        piece: str = self._processor.id_to_piece(token)
        return piece.replace("▁", " ")

    def tokens(self, text: str) -> list[int]:
        """As `Tokenizer.tokens`."""
        tokens: list[int] = self._processor.encode(text)
        return tokens

    def text(self, tokens: Sequence[int]) -> str:
        """As `Tokenizer.text`; here the bytes of a character that has no piece of its own come together."""
        text: str = self._processor.decode([token for token in tokens if self.piece(token)])
        return text.strip()


class NumberTokenizer:
    """For random weights, which have no words: each token is its number."""

    def __init__(self, silent: Collection[int]) -> None:
        self._silent = frozenset(silent)

    def piece(self, token: int) -> str:
        """As `Tokenizer.piece`."""
        return "" if token in self._silent else f" {token}"

    def tokens(self, text: str) -> list[int]:
        """As `Tokenizer.tokens`: one for each word, none that is silent."""
        return [_FIRST_WORD + len(word) % _WORDS for word in text.split()]

    def text(self, tokens: Sequence[int]) -> str:
        """As `Tokenizer.text`."""
        return "".join(map(self.piece, tokens)).strip()
