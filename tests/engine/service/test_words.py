"""What tokens say: words, when they begin, when they end."""

from collections.abc import Sequence

import pytest

from engine.service.words import Words
from engine.transcript_protocol import Word, WordEnd

NEXT, PAD, HEL, LO, THERE, ME = 0, 3, 4, 5, 6, 7
PIECES = {NEXT: "", PAD: "", HEL: " Hel", LO: "lo", THERE: " there", ME: " me"}


def told(tokens: Sequence[int], finish: bool = False) -> list[Word | WordEnd]:
    """What is told of tokens, one every 0.1 s."""
    words = Words(NEXT, PIECES.__getitem__, lambda ids: "".join(map(PIECES.__getitem__, ids)).strip())
    events = [event for n, token in enumerate(tokens) for event in words.take(token, n / 10)]
    return events + (list(words.finish(len(tokens) / 10)) if finish else [])


def test_a_word_is_told_with_the_padding_after_it_and_ends_where_the_next_is_announced() -> None:
    assert told([PAD, NEXT, HEL, LO]) == []
    assert told([PAD, NEXT, HEL, LO, PAD]) == [Word("Hello", 0.2)]
    assert told([PAD, NEXT, HEL, LO, PAD, PAD, NEXT, THERE, PAD]) == [
        Word("Hello", 0.2),
        WordEnd(0.6),
        Word("there", 0.7),
    ]


def test_words_without_a_boundary_between_them_are_several() -> None:
    assert told([NEXT, HEL, LO, THERE, ME, NEXT]) == [
        Word("Hello", 0.1),
        WordEnd(0.3),
        Word("there", 0.3),
        WordEnd(0.4),
        Word("me", 0.4),
        WordEnd(0.5),
    ]


def test_a_word_of_which_the_boundary_was_left_out_begins_with_its_first_piece() -> None:
    assert told([PAD, ME, PAD, PAD, THERE, PAD]) == [Word("me", 0.1), WordEnd(0.4), Word("there", 0.4)]


def test_boundaries_without_words_tell_nothing() -> None:
    assert told([NEXT, NEXT, PAD, NEXT, PAD], finish=True) == []


@pytest.mark.parametrize(
    ("pads", "end_s"), [(0, 0.2), (3, 0.5), (30, 1.1)], ids=["at once", "soon", "after a pause"]
)
def test_the_last_word_ends_with_the_sound_or_a_second_after_it_began(pads: int, end_s: float) -> None:
    assert told([NEXT, ME, *[PAD] * pads], finish=True) == [Word("me", 0.1), WordEnd(end_s)]


def test_nothing_is_told_twice() -> None:
    assert told([NEXT, ME, PAD, NEXT, NEXT], finish=True) == [Word("me", 0.1), WordEnd(0.3)]
