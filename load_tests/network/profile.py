"""What a network does to packets: some by name, any other from a TOML file."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from engine.errors import SettingError


@dataclass(frozen=True, slots=True)
class Conditions:
    """One direction. Left out, a number does nothing."""

    delay_ms: float = 0.0
    """What every packet takes."""
    jitter_ms: float = 0.0
    """Mean of what a packet takes beyond that: exponentially distributed, and the order is kept."""
    loss_percent: float = 0.0
    """Packets that are lost, of all."""
    loss_burst: float = 1.0
    """How many in a row are lost then, in the mean (Gilbert's model)."""
    reorder_percent: float = 0.0
    """Packets that others overtake."""
    reorder_ms: float = 30.0
    """How much later these are."""
    stall_every_s: float = 0.0
    """Mean time from one standstill to the next; 0: none. A radio looks for a better cell or channel."""
    stall_ms: float = 0.0
    """How long nothing gets through then; all of it comes at once afterwards."""
    rate_kbit: float = 0.0
    """Bits that pass in a second, in thousands; 0: any number."""
    queue_ms: float = 200.0
    """How long the queue before that rate may get; what finds it longer is lost."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            highest = 100.0 if field.name.endswith("_percent") else 1e6
            lowest = 1.0 if field.name == "loss_burst" else 0.0
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not lowest <= value <= highest
            ):
                raise SettingError(f"{field.name} = {value!r}: give a number from {lowest:g} to {highest:g}")
        share = self.loss_percent / 100
        if share < 1 and share / (1 - share) > self.loss_burst:
            raise SettingError(
                f"loss_percent = {self.loss_percent:g} comes in longer rows than loss_burst = "
                f"{self.loss_burst:g}: give {share / (1 - share):.1f} or more for that"
            )


@dataclass(frozen=True, slots=True)
class Profile:
    """A network as one caller has it: `up` is what they send, `down` what they get."""

    name: str
    up: Conditions
    down: Conditions

    @classmethod
    def load(cls, wanted: str) -> Self:
        """A profile by its name, or from a TOML file with the tables `up` and `down`. Raises SettingError."""
        if wanted in _NAMED:
            return cls(wanted, *_NAMED[wanted])
        path = Path(wanted)
        try:
            tables = tomllib.loads(path.read_text())
            return cls(path.stem, **_conditions(tables))
        except (OSError, UnicodeDecodeError):
            names = ", ".join(_NAMED)
            raise SettingError(
                f"{wanted!r} is no network: give {names}, or a TOML file that can be read"
            ) from None
        except (tomllib.TOMLDecodeError, SettingError) as wrong:
            raise SettingError(f"{wanted}: {wrong}") from None

    def __str__(self) -> str:
        return f"{self.name}: up {_text(self.up)}; down {_text(self.down)}"


def _conditions(tables: dict[str, Any]) -> dict[str, Conditions]:
    known = [field.name for field in fields(Conditions)]
    for name, table in tables.items():
        if name not in ("up", "down") or not isinstance(table, dict):
            raise SettingError(f"{name!r} is not known: a network has the tables [up] and [down]")
        for key in table:
            if key not in known:
                raise SettingError(f"{key!r} in [{name}] is not known: {', '.join(known)} are")
    return {name: Conditions(**tables.get(name, {})) for name in ("up", "down")}


def _text(conditions: Conditions) -> str:
    """Only what it does."""
    said = {field.name: getattr(conditions, field.name) for field in fields(conditions)}
    needed = {"loss_burst": "loss_percent", "reorder_ms": "reorder_percent", "queue_ms": "rate_kbit"}
    told = [f"{name} {value:g}" for name, value in said.items() if value and said[needed.get(name, name)]]
    return ", ".join(told) or "as it is"


# What people have: chosen to be like it, from no measurement of ours. After that, what a goal is about.
_NAMED = {
    "lte": (
        Conditions(delay_ms=25, jitter_ms=10, loss_percent=0.3, loss_burst=2, rate_kbit=8_000, queue_ms=300),
        Conditions(delay_ms=25, jitter_ms=6, loss_percent=0.2, loss_burst=2, rate_kbit=30_000, queue_ms=300),
    ),
    "wifi": (
        Conditions(
            delay_ms=4, jitter_ms=4, loss_percent=0.5, loss_burst=3, stall_every_s=10, stall_ms=80,
            rate_kbit=40_000,
        ),
        Conditions(
            delay_ms=4, jitter_ms=4, loss_percent=0.5, loss_burst=3, stall_every_s=10, stall_ms=80,
            rate_kbit=40_000,
        ),
    ),
    "bad": (
        Conditions(
            delay_ms=80, jitter_ms=25, loss_percent=3, loss_burst=3, reorder_percent=1, stall_every_s=15,
            stall_ms=150, rate_kbit=500, queue_ms=500,
        ),
        Conditions(
            delay_ms=80, jitter_ms=25, loss_percent=3, loss_burst=3, reorder_percent=1, stall_every_s=15,
            stall_ms=150, rate_kbit=1_000, queue_ms=500,
        ),
    ),
    "plain": (Conditions(), Conditions()),
    "loss-5": (Conditions(loss_percent=5), Conditions(loss_percent=5)),
    "loss-10": (Conditions(loss_percent=10), Conditions(loss_percent=10)),
    "gone": (Conditions(loss_percent=100), Conditions(loss_percent=100)),
}  # fmt: skip
