"""Whom a model listens to in a room with several people."""

from enum import StrEnum


class RoomPolicy(StrEnum):
    """first: who came first, for as long as they stay. mix: everybody, in one conversation. each: everybody
    in a conversation of their own, of which the others hear nothing.
    """

    FIRST = "first"
    MIX = "mix"
    EACH = "each"
