"""A run and the seats before and after it."""

from dataclasses import dataclass, replace

from load_tests.measured import RunMeasured
from load_tests.report.summary import Goal
from load_tests.visits import seats
from load_tests.visits.options import Service
from load_tests.visits.plan import Visit
from load_tests.visits.run import Coming, run
from worker.preflight import check_livekit
from worker.settings import LiveKitSettings

_LIVEKIT_PATIENCE_S = 2.0
_UNCOUNTED = "seats were not counted: no --engine was given"


@dataclass(frozen=True, slots=True)
class Measured:
    """`seats_lost`: None where nobody counted them."""

    run: RunMeasured
    seats_lost: int | None

    @property
    def kept(self) -> tuple[Goal, ...]:
        """What holds for everybody who was let in."""
        broken = sum(call.lost is not None for call in self.run.calls)
        return (Goal("seats lost", 0, self.seats_lost, ""), Goal("calls that broke off", 0, broken, ""))


async def measure(service: Service, visits: list[Visit], seed: int, repeats: bool | None) -> Measured:
    """Raises EngineError: what is not there, or went wrong."""
    if service.way.livekit_url:
        await check_livekit(LiveKitSettings.load(livekit_url=service.way.livekit_url), _LIVEKIT_PATIENCE_S)
    engine = (service.engine_url, service.engine_token)
    before = await seats.taken(*engine) if service.engine_url else 0
    found = await run(Coming(tuple(visits), seed, service.way, service.engine_url), repeats)
    if not service.engine_url:
        return Measured(replace(found, notes=(*found.notes, _UNCOUNTED)), None)
    return Measured(found, await seats.lost(*engine, before))
