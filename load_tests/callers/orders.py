"""What the parent tells a process of callers, as JSON on its standard input."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from load_tests.callers.one_call import Seat


@dataclass(frozen=True, slots=True)
class Orders:
    """Who calls, what is said (by seed and seconds), how far apart they join, where to put what was heard."""

    seats: tuple[Seat, ...]
    seed: int
    seconds: float
    join_spacing_s: float
    folder: str

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Orders":
        """What `to_json` made."""
        told: dict[str, Any] = json.loads(line)
        return cls(**(told | {"seats": tuple(Seat(**seat) for seat in told["seats"])}))
