"""Text messages of every WebSocket of the engine: a JSON object each, whose `type` tells its class."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, TypeVar

from engine.errors import SessionError


class JsonMessage:
    """A message that travels as a JSON object: its fields, and `type`."""

    type: ClassVar[str]

    def to_wire(self) -> str:
        """The text message."""
        return json.dumps({"type": self.type, **asdict(self)})  # type: ignore[call-overload]  # every subclass is a dataclass


_Kind = TypeVar("_Kind", bound=type[Any])


def parse_typed(
    text: str, kinds: Mapping[str, _Kind], *, strict: bool = True
) -> tuple[_Kind, dict[str, Any]]:
    """The class that the `type` of `text` names, and the fields for it. strict: none that it does not have.

    Raises SessionError.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise SessionError("a text message is a JSON object with a type")
    kind = kinds.get(str(body.pop("type", "")))
    if kind is None:
        raise SessionError(f"a text message has one of these types: {', '.join(kinds)}")
    known = {f.name: f.default is MISSING for f in fields(kind)}
    missing = [name for name, required in known.items() if required and name not in body]
    foreign = [name for name in body if name not in known]
    if missing or (strict and foreign):
        raise SessionError(
            f"{text[:80]!r}: a {kind.type} message has the fields {', '.join(known) or 'type alone'}"
        )
    return kind, {name: value for name, value in body.items() if name in known}
