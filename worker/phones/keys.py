"""What the keys of a telephone do, as a setting says it: `*=mute,#=hang_up,0=transfer`."""

import re
from collections.abc import Mapping
from enum import StrEnum

from worker.phones.e164 import checked_number, split

KEYS = "0123456789*#ABCD"
_SIP = re.compile(r"sips?:[\w.+-]+@[\w.-]+(:\d+)?", re.ASCII)


class KeyAction(StrEnum):
    """End the call; do not listen until it is pressed again; put the caller through to somebody else."""

    HANG_UP = "hang_up"
    MUTE = "mute"
    TRANSFER = "transfer"


def parse_keys(text: str) -> Mapping[str, KeyAction]:
    """By key, one of KEYS. Raises ValueError."""
    actions = {}
    for part in split(text):
        key, _, action = (piece.strip() for piece in part.partition("="))
        if key not in KEYS or len(key) != 1:
            raise ValueError(
                f"{part!r} begins with no key of a telephone: write one of {KEYS}, = and an action"
            )
        if action not in list(KeyAction):
            raise ValueError(f"{action!r} is nothing that a key can do: write {', '.join(KeyAction)}")
        if key in actions:
            raise ValueError(f"the key {key} cannot do two things")
        actions[key] = KeyAction(action)
    return actions


def checked_target(to: str) -> str:
    """Where callers may be put through: a number or a SIP address. Raises ValueError."""
    if _SIP.fullmatch(to):
        return to
    return checked_number(to)
