"""Telephone numbers, as ITU-T E.164 writes them: a plus sign and at most fifteen digits."""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")


def checked_number(number: str) -> str:
    """The number. Raises ValueError, which does not repeat it: it is somebody's."""
    if not is_number(number):
        raise ValueError(
            "this is no telephone number: write a plus sign, the country and the rest, in digits alone, "
            "as in +15550100"
        )
    return number


def is_number(text: str) -> bool:
    """Whether it is one."""
    return _NUMBER.fullmatch(text) is not None


def checked_prefixes(prefixes: str) -> str:
    """Beginnings of numbers, separated by commas. Raises ValueError."""
    for prefix in split(prefixes):
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"{prefix!r} is not how a telephone number begins: write +1415,+4930")
    return prefixes


def split(text: str) -> list[str]:
    """What is between the commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def begins_with_one_of(number: str, prefixes: Iterable[str]) -> bool:
    """Whether the number is among those that begin so."""
    return any(number.startswith(prefix) for prefix in prefixes)
