"""A configuration that is used up key by key, so that nothing in it goes unread."""

import difflib
from collections.abc import Mapping
from typing import Any

from engine.errors import CheckpointError


class Keys:
    """The keys of configuration `where`. Every complaint is a `CheckpointError`."""

    def __init__(self, where: str, raw: object) -> None:
        if not isinstance(raw, Mapping):
            raise CheckpointError(f"{where}: expected an object with keys, got {raw!r:.60}")
        self._where = where
        self._raw = dict(raw)
        self._known: list[str] = []

    def take(self, key: str, default: Any) -> Any:
        """The value of `key`, or `default`."""
        self._known.append(key)
        return self._raw.pop(key, default)

    def number(self, key: str, default: float | None = None) -> float:
        """The value of `key`, a number from 0 up, or `default`; without one it must be there."""
        value = self.need(key) if default is None else self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise CheckpointError(f"{self._where}: '{key}' is {value!r:.60}; give a number from 0 up")
        return value

    def need(self, key: str) -> Any:
        """The value of `key`, which must be there."""
        if key not in self._raw:
            raise CheckpointError(
                f"{self._where}: key '{key}' is missing; take the file of the original checkpoint"
            )
        return self.take(key, None)

    def must_be(self, key: str, value: Any) -> None:
        """Takes a key that may be missing, but have no other value."""
        given = self.take(key, value)
        if given != value:
            raise CheckpointError(f"{self._where}: '{key}' is {given!r}, and this engine runs only {value!r}")

    def ignore(self, *keys: str) -> None:
        """Takes keys that may have any value."""
        for key in keys:
            self.take(key, None)

    def finish(self) -> None:
        """Complains about the first key that is left, naming the near one."""
        for key in self._raw:
            near = difflib.get_close_matches(key, self._known, n=1)
            hint = (
                f"did you mean '{near[0]}'?"
                if near
                else "remove it, or use the engine version that it is for"
            )
            raise CheckpointError(f"{self._where}: unknown key '{key}'; {hint}")
