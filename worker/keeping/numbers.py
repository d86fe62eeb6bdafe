"""Numbers that may say who somebody is, taken out of a text."""

import re

HIDDEN = "[number]"
LEAST_DIGITS = 3

_DIGITS = re.compile(rf"\+?\d(?:[\s().,/-]{{0,2}}\d){{{LEAST_DIGITS - 1},}}")
_WORDS = [
    "zero",
    "oh",
    "nought",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
    "thousand",
    "million",
    "double",
    "triple",
]
_WORD = rf"\b(?:{'|'.join(_WORDS)})\b"
_SPELLED = re.compile(rf"{_WORD}(?:[\s,.-]+(?:and\s+)?{_WORD}){{{LEAST_DIGITS - 1},}}", re.IGNORECASE)


def redact(text: str) -> str:
    """The text without numbers of LEAST_DIGITS digits or more, also where English words spell them."""
    return _SPELLED.sub(HIDDEN, _DIGITS.sub(HIDDEN, text))
