"""The `AgentServer`, where our own command and LiveKit's find it.

LiveKit's own: `python -m livekit.agents start worker/server.py`, with ENGINE_URL set.
"""

import asyncio
import math
import sys

from livekit.agents import AgentServer, JobExecutorType
from livekit.agents.worker import ServerEnvOption
from livekit.protocol.models import Room

from engine.errors import SettingError
from worker import logs
from worker.entrypoint import entrypoint
from worker.hybrid import stack
from worker.keeping.retention import Retention
from worker.orphans import Orphans
from worker.privacy import notice_in
from worker.room.returning import Returning
from worker.seats import AGENT_NAME, Seats
from worker.settings import HealthSettings, WorkerSettings
from worker.signs.attributes import at_once
from worker.stranded import Stranded
from worker.tokens import agent_token
from worker.watching.readiness import Readiness, answering
from worker.watching.worker_metrics import WorkerMetrics

HEALTH_PORT = 8081

_health = HealthSettings()


class Server(AgentServer):
    """LiveKit's, which also says whether calls should be sent to it."""

    is_known = False
    """LiveKit has taken its registration, at least once."""
    # Theirs: aclose asks for it, also where run has not come so far.
    _close_future = None

    @property
    def is_registered(self) -> bool:
        """Whether LiveKit has it now."""
        return self.is_known and not (self._connecting or self._connection_failed)

    def know(self, *_: object) -> None:
        """Say that LiveKit has taken its registration."""
        self.is_known = True

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Theirs. Raises OSError as well where there is no place for the numbers."""
        readiness = Readiness(
            registered=lambda: self.is_registered,
            draining=lambda: self.draining,
            engine_answers=lambda: seats.can_serve,
        )
        async with answering(_health.worker_host, _health.worker_metrics_port, readiness):
            await super().run(devmode=devmode, unregistered=unregistered)


async def announce() -> None:
    """Tell LiveKit the load now: else it hears it every 2.5 s, and offers nothing for a seat freed since."""
    await server._refresh_worker_load()
    await server._update_worker_status()


async def give_up() -> None:
    """Close the worker and end the process. LiveKit's own command reports success for one that has closed."""
    await server.aclose()
    # Out of the loop and not of this task, whose exception would be logged as one that nobody saw.
    asyncio.get_running_loop().call_soon(sys.exit, 2)


def _modules() -> list[str]:
    try:
        return stack.modules(WorkerSettings.load())
    except SettingError:
        # Whoever starts the seats says so.
        return []


def jobs() -> set[str]:
    """The ids of those that are on."""
    return {job.job.id for job in server.active_jobs}


metrics = WorkerMetrics()
seats = Seats(announce, give_up, metrics.offered, jobs)
server = Server(
    job_executor_type=JobExecutorType.PROCESS,
    # The framework reckons with offers in flight and refuses callers while seats are free.
    load_threshold=math.inf,
    load_fnc=seats.load,
    num_idle_processes=ServerEnvOption(dev_default=1, prod_default=2),
    preload_modules=_modules(),
    host=_health.worker_host,
    port=ServerEnvOption(dev_default=0, prod_default=HEALTH_PORT)
    if _health.worker_port is None
    else _health.worker_port,
)
server.rtc_session(entrypoint, on_request=seats.answer)
server.on("worker_started", seats.start)
server.on("worker_registered", server.know)


async def launch(room: Room, identity: str, returning: Returning) -> None:
    """Start a job that nobody dispatched: it takes the place of one that is gone."""
    settings = WorkerSettings.load()
    token = agent_token(settings, room.name, identity, AGENT_NAME, at_once(notice_in(settings)))
    await server.simulate_job(room.name, room_info=returning.hidden_in(room), token=token)


def lives(room: str, identity: str) -> bool:
    """Whether we have this job."""
    return any(
        (job.job.room.name, job.accept_arguments.identity) == (room, identity) for job in server.active_jobs
    )


def is_ours(room: str) -> bool:
    """Whether a job of ours is in this room, or about to be."""
    return orphans.cares_for(room) or any(job.job.room.name == room for job in server.active_jobs)


orphans = Orphans(launch, lives, stays=lambda: not server.draining, count=metrics.brought_back)
server.on("worker_started", orphans.start)
stranded = Stranded(
    is_ours, free=lambda: seats.free, stays=lambda: not server.draining, count=metrics.brought_back
)
server.on("worker_started", stranded.start)
server.on("worker_registered", stranded.registered)
metrics.watch(
    calls=lambda: len(server.active_jobs),
    engine_answers=lambda: seats.engine_is_well,
    livekit_answers=lambda: server.is_registered,
    draining=lambda: server.draining,
)
retention = Retention()
server.on("worker_started", retention.start)
# LiveKit's own command has a log of its own.
server.on("worker_started", logs.be_discreet)
