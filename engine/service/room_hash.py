"""The name of a room as a number that tells rooms apart, and names none to who has not the key."""

import hashlib
import hmac

_DIGITS = 16


class RoomHash:
    """HMAC-SHA256 under the operator's key, 16 digits of it. A plain hash would not do: names are guessed."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def of(self, room: str) -> str:
        """The same for the same room, on every engine with this key."""
        return hmac.new(self._key, room.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
