"""One run: everybody calls one service; what came of it."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from load_tests import phone
from load_tests.callers import crowd
from load_tests.callers.measure import measured, said_by
from load_tests.callers.one_call import Seat
from load_tests.callers.recorded import CallRecorded
from load_tests.callers.script import Script
from load_tests.measured import CallMeasured, RunMeasured
from load_tests.report.budget import budget
from load_tests.report.stages import Stages
from load_tests.report.watch import Watch
from load_tests.sockets import WAITING
from worker.caller.caller import new_room, token
from worker.settings import LiveKitSettings
from worker.signs import attributes

PARROT_DELAY_S = 1.0056
"""By `hearing`, without any transport; a test holds it to that."""
_REPEATING_S = {"parrot": PARROT_DELAY_S, WAITING: 0.0}
"""Models that repeat what they hear, and after how long."""
ECHO = "bare echo"
SERVICE = "the service"
ESTIMATED = (
    "the model does not repeat what it hears: mouth to ear is added up from what worker and WebRTC tell of "
    "their parts, and neither words nor leaks were looked for"
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who calls: the first `phones` by telephone, the next `browsers` from Chromium, the rest from Python."""

    scripts: tuple[Script, ...]
    seed: int
    seconds: float
    phones: int = 0
    browsers: int = 0

    @classmethod
    def of(cls, callers: int, seed: int, seconds: float, phones: int = 0, browsers: int = 0) -> "Crowd":
        """Raises UserError without espeak-ng."""
        scripts = tuple(Script.of(seed, number, seconds) for number in range(callers))
        return cls(scripts, seed, seconds, phones, browsers)

    def seats(self, settings: LiveKitSettings, rooms: Sequence[str], url: str) -> list[Seat]:
        """A seat in each room, with its token."""
        return [self._seat(settings, number, room, url) for number, room in enumerate(rooms)]

    def _seat(self, settings: LiveKitSettings, number: int, room: str, url: str) -> Seat:
        if number < self.phones:
            return Seat(number, "phone", room, url, phone.token(settings, room, number))
        kind = "browser" if number < self.phones + self.browsers else "webrtc"
        return Seat(number, kind, room, url, token(settings, room))


@dataclass(frozen=True, slots=True)
class Where:
    """How callers reach the server: its address for them, and what has to run their commands."""

    url: str
    network: str = "none"
    inside: Callable[[list[str]], list[str]] = list


def new_rooms(count: int) -> list[str]:
    """Names that no other rooms have."""
    return [new_room() for _ in range(count)]


async def run(
    what: str,
    people: Crowd,
    settings: LiveKitSettings,
    rooms: Sequence[str],
    where: Where,
    engine_url: str = "",
    repeats: bool | None = None,
) -> RunMeasured:
    """Call, speak, listen, and understand it all afterwards.

    repeats: whether what is said is looked for in what comes back; None: if the model says that it is parrot.
    Raises CallersFailed, UserError.
    """
    watch = Watch(settings.livekit_url, engine_url)
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        tell(f"{what}: {len(rooms)} callers join, then speak for {people.seconds:.0f} s")
        seats = people.seats(settings, rooms, where.url)
        recorded = await crowd.record(
            seats, people.seed, people.seconds, Path(folder), watch.during, where.inside
        )
    delay_s = 0.0 if what == ECHO else model_delay_s(models_of(recorded), repeats)
    tell(f"{what}: looking for what was said in what came back")
    calls = await asyncio.to_thread(_understand, recorded, people.scripts, delay_s)
    result = RunMeasured(
        what,
        1000 * (delay_s or 0.0),
        people.seconds,
        tuple(calls),
        watch.processes,
        watch.gpu,
        network=where.network,
        notes=(*((ESTIMATED,) if delay_s is None else ()), *watch.notes),
    )
    stages = Stages.of_echoes(one.attributes for one in recorded) if what == ECHO else watch.engine
    return replace(result, budget=budget(result, stages))


def models_of(recorded: Iterable[CallRecorded]) -> list[str]:
    """What callers were told that they talk to."""
    return [one.attributes[attributes.MODEL] for one in recorded if attributes.MODEL in one.attributes]


def model_delay_s(models: Iterable[str], repeats: bool | None) -> float | None:
    """After how long what was said comes back; None if it does not.

    repeats: what the user knows. One of whom nothing is known is as late as parrot.
    """
    if repeats is False:
        return None
    known_s = [_REPEATING_S[model] for model in models if model in _REPEATING_S]
    return known_s[0] if known_s else PARROT_DELAY_S if repeats else None


def tell(what: str) -> None:
    """For whoever waits for a command."""
    print(what, file=sys.stderr, flush=True)


def _understand(
    recorded: Sequence[CallRecorded], scripts: Sequence[Script], model_delay_s: float | None
) -> list[CallMeasured]:
    said = [said_by(one, script) for one, script in zip(recorded, scripts, strict=True)]
    return [
        measured(
            one,
            script,
            said[number],
            [each for other, their in enumerate(said) if other != number for each in their],
            model_delay_s,
        )
        for number, (one, script) in enumerate(zip(recorded, scripts, strict=True))
    ]
