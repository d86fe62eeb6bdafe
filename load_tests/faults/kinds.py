"""What can go wrong, and what is expected of it."""

from dataclasses import dataclass
from enum import Enum

from engine.errors import SettingError


class Hits(Enum):
    """Whom a fault is about."""

    NOBODY = "nobody"
    ONE = "one caller"
    ALL = "everybody"


class Keeps(Enum):
    """What should be left of a conversation."""

    CONVERSATION = "the conversation"
    CALL = "the call; a new conversation is said to be one"


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` as in tables; `short` as on command lines. needs_root: a network of our own."""

    short: str
    name: str
    hits: Hits
    keeps: Keeps = Keeps.CONVERSATION
    needs_root: bool = False


NOTHING = Kind("nothing", "nothing, to compare", Hits.NOBODY)
KINDS = (
    NOTHING,
    Kind("signal", "caller's signalling reconnects", Hits.ONE),
    Kind("full", "caller reconnects fully", Hits.ONE),
    Kind("reload", "caller reloads the page", Hits.ONE),
    Kind("away", "caller is gone for 3 s", Hits.ONE),
    Kind("bursts", "no packet for 200 ms, three times", Hits.ONE, needs_root=True),
    Kind("loss5", "5 % of the packets lost for 10 s", Hits.ONE, needs_root=True),
    Kind("loss10", "10 % of the packets lost for 10 s", Hits.ONE, needs_root=True),
    Kind("line", "no packet for 3 s", Hits.ONE, needs_root=True),
    Kind("job", "a job is killed", Hits.ONE),
    Kind("worker", "the worker is killed, and started again", Hits.ALL),
    Kind("drain", "the worker is replaced: SIGTERM, a new one beside it", Hits.ALL),
    Kind("halt", "the engine hangs for 3 s", Hits.ALL),
    Kind("engine", "the engine is killed, and started again", Hits.ALL, Keeps.CALL),
    Kind("livekit", "the LiveKit server is killed, and started again", Hits.ALL),
)
"""In the order of tables: what hits one caller, then what hits all."""


def named(shorts: str) -> tuple[Kind, ...]:
    """Those of a list of short names, separated by commas; all for "". Raises SettingError."""
    if not shorts:
        return KINDS
    known = {kind.short: kind for kind in KINDS}
    found = []
    for short in shorts.split(","):
        if short.strip() not in known:
            raise SettingError(f"--only {short.strip()!r} is no fault: give some of {', '.join(known)}")
        found.append(known[short.strip()])
    return tuple(found)
