"""Who hears and reads a conversation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Audience:
    """`identity`: the one participant to whom its texts go; empty: everybody in the room. `heard` is called
    when there is a track, which others may not subscribe to.
    """

    identity: str = ""
    heard: Callable[[], None] = _nothing

    def addressed(self) -> dict[str, Any]:
        """The SDK's argument for texts to it."""
        return {"destination_identities": [self.identity]} if self.identity else {}


EVERYBODY = Audience()
