"""Text that comes in pieces, as the words that a model reads (`script_to_entries` of the reference)."""

import re
from collections.abc import Callable

from engine.step.tts_machine import MAIN_SPEAKER, Word

_FRAME_RATE = 12.5
_LONGEST_PAUSE_S = 10.0
_GAP = re.compile(r'<break\s+time="([0-9]+(?:\.[0-9]*)?)s"\s*/?>|\s+')
_TAG = "<break"
_LONGEST_TAG = 64
_WRITTEN_OTHERWISE = str.maketrans({"\N{RIGHT SINGLE QUOTATION MARK}": "'", ":": " ", "(": None, ")": None})


class TtsScript:
    """The text of one session. Its words are the same whatever the pieces."""

    def __init__(self, tokens: Callable[[str], list[int]]) -> None:
        """tokens: those of a word."""
        self._tokens = tokens
        self._rest = ""
        self._begun = False

    def words(self, text: str) -> list[Word]:
        """The words that `text` completes: those with a space after them. `<break time="0.5s"/>` is a pause,
        of ten seconds at most.
        """
        self._rest += text.translate(_WRITTEN_OTHERWISE)
        return self._split(last=False)

    def last_words(self) -> list[Word]:
        """What is left when the text is over."""
        words = self._split(last=True)
        if self._rest:
            words.append(self._word(self._rest))
            self._rest = ""
        return words

    def _split(self, last: bool) -> list[Word]:
        words, at = list[Word](), 0
        for gap in _GAP.finditer(self._rest):
            before = self._rest[at : gap.start()]
            if not last and gap[1] is None and before.endswith(_TAG) and self._goes_on(gap.start()):
                break
            if before:
                words.append(self._word(before))
            if gap[1]:
                seconds = min(float(gap[1]), _LONGEST_PAUSE_S)
                words.append(Word("", (), round(seconds * _FRAME_RATE)))
            at = gap.end()
        self._rest = self._rest[at:]
        return words

    def _goes_on(self, at: int) -> bool:
        """Whether the tag of a pause, of which this is the space, may not have ended yet."""
        tag = self._rest[at : at + _LONGEST_TAG]
        return ">" not in tag and len(tag) < _LONGEST_TAG

    def _word(self, text: str) -> Word:
        tokens = self._tokens(text)
        if not self._begun:
            tokens = [MAIN_SPEAKER, *tokens]
            self._begun = True
        return Word(text, tuple(tokens), len(tokens))
