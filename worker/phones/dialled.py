"""How many calls were dialled in the last hour, from wherever: kept with the trunk, in LiveKit's Redis.

LiveKit cannot count for us: two commands at the very same moment may both see the last call that is free.
The limits of the provider's contract are what holds against somebody who has the key.
"""

import json
from dataclasses import dataclass
from typing import Self

HOUR_S = 3600.0
_KEY = "dialled"


@dataclass(frozen=True, slots=True)
class Dialled:
    """When, in seconds since 1970, oldest first."""

    at: tuple[float, ...] = ()

    @classmethod
    def read(cls, metadata: str) -> Self:
        """What a trunk's metadata says. Somebody else's metadata says nothing."""
        try:
            at = json.loads(metadata)[_KEY]
            return cls(tuple(sorted(float(each) for each in at)))
        except (LookupError, TypeError, ValueError):
            return cls()

    def written(self) -> str:
        """As a trunk's metadata."""
        return json.dumps({_KEY: self.at})

    def with_one(self, now: float) -> Self:
        """One call more; what is older than an hour is forgotten."""
        return type(self)((*self.recent(now), now))

    def wait_s(self, now: float, per_hour: int) -> float:
        """After how long there may be another one."""
        recent = self.recent(now)
        if len(recent) < per_hour:
            return 0.0
        return recent[-per_hour] + HOUR_S - now if per_hour else HOUR_S

    def recent(self, now: float) -> tuple[float, ...]:
        """Those of the last hour."""
        # A clock that was set back must not lock everybody out.
        return tuple(at for at in self.at if now - HOUR_S < at <= now)
