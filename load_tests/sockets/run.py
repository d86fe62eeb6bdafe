"""One run: everybody calls one engine; what came of it."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.protocol import ModelCard
from load_tests.callers import crowd
from load_tests.callers.crowd import Manner
from load_tests.callers.measure import measured, said_by
from load_tests.callers.one_call import Seat
from load_tests.callers.recorded import CallRecorded
from load_tests.callers.run import model_delay_s, tell
from load_tests.callers.script import Script
from load_tests.measured import CallMeasured, RunMeasured
from load_tests.report.budget import budget_of_sockets
from load_tests.report.watch import Watch

ENGINE = "the engine"
COMPARED = 32
"""So many callers have a script of their own, and what they hear is kept and searched."""
_MANNER = Manner("load_tests.callers.process", per_process=40, join_spacing_s=0.1)
_NOT_REPEATED = (
    "the model does not repeat what it hears: mouth to ear is added up from what clients of the sockets saw, "
    "and neither words nor leaks were looked for"
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who calls: first `sessions` on /v1/session, then `chats` on /api/chat, each for `seconds`."""

    sessions: int
    chats: int
    seed: int
    seconds: float
    piece_s: float

    def seats(self, url: str, token: str) -> list[Seat]:
        """Where there are more than COMPARED, the others say what one of those says, at the same time."""
        count = self.sessions + self.chats
        compared = [number * count // min(count, COMPARED) for number in range(min(count, COMPARED))]
        seats = []
        for number in range(count):
            kind = "session" if number < self.sessions else "chat"
            script = None if number in compared else compared[number % len(compared)]
            name = f"{kind}-{number}"
            seats.append(Seat(number, kind, name, url, token, script=script, piece_s=self.piece_s))
        return seats


async def run(people: Crowd, url: str, token: str, card: ModelCard, repeats: bool | None) -> RunMeasured:
    """Call, speak, listen, and understand it all afterwards.

    repeats: whether what is said is looked for in what comes back; None: if `card` names a model that does.
    Raises CallersFailed, UserError.
    """
    watch = Watch("", url)
    seats = people.seats(url, token)
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        tell(f"{ENGINE}: {len(seats)} callers join, then speak for {people.seconds:.0f} s")
        recorded = await crowd.record(
            seats, people.seed, people.seconds, Path(folder), watch.during, manner=_MANNER
        )
    delay_s = model_delay_s([card.model], repeats)
    if delay_s is not None:
        tell(f"{ENGINE}: looking for what was said in what came back")
    calls = await asyncio.to_thread(_understand, seats, recorded, people, delay_s)
    alone = sum(seat.script is None for seat in seats)
    notes = () if delay_s is not None else (_NOT_REPEATED,)
    if delay_s is not None and alone < len(seats):
        notes = (
            f"what {alone} of the {len(seats)} callers heard was searched for words, of the others when",
        )
    result = RunMeasured(
        ENGINE,
        1000 * (delay_s or 0.0),
        people.seconds,
        tuple(calls),
        watch.processes,
        watch.gpu,
        notes=(*notes, *watch.notes),
    )
    return replace(result, budget=budget_of_sockets(result, watch.engine))


def _understand(
    seats: Sequence[Seat], recorded: Sequence[CallRecorded], people: Crowd, delay_s: float | None
) -> list[CallMeasured]:
    scripts = {
        seat.number: Script.of(people.seed, seat.number, people.seconds)
        for seat in seats
        if seat.script is None
    }
    said = {number: said_by(recorded[number], script) for number, script in scripts.items()}
    calls = []
    for seat, one in zip(seats, recorded, strict=True):
        script = scripts[seat.speaks_as]
        if seat.script is not None:
            call = measured(one, script, (), (), delay_s)
            calls.append(replace(call, said=0, said_at_s=()))
            continue
        others = [each for number, their in said.items() if number != seat.number for each in their]
        calls.append(measured(one, script, said[seat.number], others, delay_s))
    return calls
