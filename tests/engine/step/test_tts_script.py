"""Text to words: what a word is, whatever the pieces that a text comes in."""

import pytest

from engine.step.tts_machine import MAIN_SPEAKER, Word
from engine.step.tts_script import TtsScript


def tokens(word: str) -> list[int]:
    return [ord(letter) for letter in word]


def words_of(*pieces: str) -> list[Word]:
    script = TtsScript(tokens)
    words = [word for piece in pieces for word in script.words(piece)]
    return [*words, *script.last_words()]


def texts(*pieces: str) -> list[str]:
    return [word.text or f"pause {word.padding}" for word in words_of(*pieces)]


def test_words_are_what_spaces_part_and_are_written_as_the_model_was_trained() -> None:
    text = " One\ttwo: (three)\n four:five, it\N{RIGHT SINGLE QUOTATION MARK}s  "
    assert texts(text) == ["One", "two", "three", "four", "five,", "it's"]


def test_the_first_word_says_who_speaks_and_each_is_kept_apart_by_its_tokens() -> None:
    assert words_of("ab cde") == [
        Word("ab", (MAIN_SPEAKER, ord("a"), ord("b")), 3),
        Word("cde", tuple(tokens("cde")), 3),
    ]


def test_a_word_counts_once_it_is_complete() -> None:
    script = TtsScript(tokens)
    assert [word.text for word in script.words("hel")] == []
    assert [word.text for word in script.words("lo wor")] == ["hello"]
    assert [word.text for word in script.last_words()] == ["wor"]
    assert script.last_words() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a <break time="0.5s"/> b', ["a", "pause 6", "b"]),
        ('a<break time="2s"/>b', ["a", "pause 25", "b"]),
        ('<break  time="1.s"  >', ["pause 12"]),
        ('<break time="999s"/>', ["pause 125"]),
        ('a <break time="x"/> b', ["a", "<break", 'time="x"/>', "b"]),
        ("<break the rules", ["<break", "the", "rules"]),
        ("a <break " + "far " * 30 + "> b", ["a", "<break", *["far"] * 30, ">", "b"]),
        ('a < b <break time="1s"', ["a", "<", "b", "<break", 'time="1s"']),
    ],
)
def test_a_pause_has_its_length_and_what_only_looks_like_one_is_read(text: str, expected: list[str]) -> None:
    assert texts(text) == expected
    assert texts(*text) == expected
    for cut in range(len(text)):
        assert texts(text[:cut], text[cut:]) == expected
